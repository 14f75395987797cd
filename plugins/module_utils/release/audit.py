# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The audit log of a stack: one JSON line a release, only ever appended to."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..common.files import append_line


def now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def append(path: Path, entry: Mapping[str, Any]) -> None:
    append_line(path, json.dumps({"at": now(), **entry}, sort_keys=True), mode=0o640)


def read(path: Path) -> list[dict[str, Any]]:
    """Every entry, oldest first; a line cut off by a power loss is skipped."""
    entries = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    for text in lines:
        try:
            entries.append(json.loads(text))
        except ValueError:
            continue
    return entries
