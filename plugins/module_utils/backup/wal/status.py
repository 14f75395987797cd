# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the shipper last knew: a small file on the host, for people and for the probe of the lag."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ...common.files import read_json, write_json
from . import options

STATUS = "status.json"


@dataclass
class Status:
    """`covered`: everything that was committed before this moment is in the bucket."""

    stack: str
    time: str = ""
    version: str = ""
    system: str = ""
    timeline: int = 0
    position: str = ""
    shipped: str = ""
    covered: str = ""
    lag_bytes: int | None = None
    lag_seconds: float | None = None
    slot: dict[str, Any] = field(default_factory=dict)
    spool_bytes: int = 0
    segments: int = 0
    base_wanted: str = ""
    failure: str = ""

    def write(self, directory: Path) -> None:
        # 0644: it holds no secret, and a probe need not be root.
        write_json(directory / STATUS, asdict(self), 0o644)


def read(stack: str) -> dict[str, Any]:
    found = read_json(options.SPOOL_DIRECTORY / stack / STATUS, {})
    return found if isinstance(found, dict) else {}
