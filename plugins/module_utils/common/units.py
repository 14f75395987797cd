# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What systemd knows of its units."""

from __future__ import annotations

import time
from collections.abc import Sequence

from .process import run

PROPERTIES = (
    "Id,LoadState,ActiveState,SubState,Result,UnitFileState,LastTriggerUSec,Unit,ActiveEnterTimestamp,"
    "InactiveEnterTimestamp"
)


def show(units: Sequence[str], timeout: float) -> list[dict[str, str]]:
    """The properties of each unit, in order; what it has not is empty."""
    argv = ["systemctl", "show", "--timestamp=unix", f"--property={PROPERTIES}", "--", *units]
    blocks = run(argv, timeout=timeout).stdout.rstrip("\n").split("\n\n")
    return [_properties(block) for block in blocks]


def _properties(block: str) -> dict[str, str]:
    found = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
    return {key: found.get(key, "") for key in PROPERTIES.split(",")}


def stamp(text: str) -> float | None:
    """systemd writes @SECONDS, and nothing for a moment that never was."""
    return float(text[1:]) if text.startswith("@") else None


def seconds_since(text: str) -> float | None:
    moment = stamp(text)
    return None if moment is None else max(0.0, time.time() - moment)
