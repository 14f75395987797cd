# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What was released, as people and module compose_release_info read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from . import audit
from .paths import StackPaths
from .store import Store

TEXTS = ("name", "kind", "result", "reason", "phase", "at", "by", "slot")
COLUMNS = ("release", "name", "kind", "result", "by", "at", "seconds", "slot")


def overview(stack: str, paths: StackPaths | None = None) -> dict[str, Any]:
    """Every attempt on record, newest first, and what serves. Needs neither Docker nor Nginx."""
    store = Store(paths or StackPaths(stack))
    current = store.state()
    kept = set(store.numbers())
    active = current.active.release if current.active else None
    entries = [_entry(entry, kept) for entry in reversed(audit.read(store.paths.audit))]
    # A release may be on record more than once (released, left, gone back to): its newest entry that served counts.
    serving = next((entry for entry in entries if entry["release"] == active and entry["result"] != "failed"), None)
    if serving:
        serving["active"] = True
    slot = current.active.slot if current.active else None
    return {"releases": entries, "active": active, "slot": slot, "phase": current.phase}


def _entry(entry: Mapping[str, Any], kept: set[int]) -> dict[str, Any]:
    phases = entry.get("phases") or []
    texts = {name: str(entry.get(name) or "") for name in TEXTS}
    return {
        **texts,
        "release": entry.get("release"),
        "from": entry.get("from"),
        "images": entry.get("images") or {},
        "phases": phases,
        "seconds": round(sum(phase["seconds"] for phase in phases), 2),
        "active": False,
        "kept": entry.get("release") in kept,
    }


def table(entries: Sequence[dict[str, Any]]) -> str:
    """For a terminal; the release that serves is marked."""
    rows = [COLUMNS, *(tuple(str(entry[name]) for name in COLUMNS) for entry in entries)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    marks = [" ", *("*" if entry["active"] else " " for entry in entries)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return "\n".join(f"{mark} {line}".rstrip() for mark, line in zip(marks, lines, strict=True))
