# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What was released, as people and module compose_release_info read it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..common.events import Emitter
from . import audit
from .host import Host
from .paths import StackPaths

COLUMNS = ("release", "name", "kind", "result", "by", "at", "seconds", "slot")


def releases(stack: str, paths: StackPaths | None = None) -> list[dict[str, Any]]:
    """Every attempt on record, newest first, with what is kept of it."""
    host = Host(paths or StackPaths(stack), Emitter.null())
    current = host.store.state()
    kept = set(host.store.numbers())
    active = current.active.release if current.active else None
    found = []
    for entry in reversed(audit.read(host.paths.audit)):
        phases = entry.get("phases") or []
        number = entry.get("release")
        found.append(
            {
                "release": number,
                "name": entry.get("name", ""),
                "kind": entry.get("kind", ""),
                "result": entry.get("result", ""),
                "reason": entry.get("reason", ""),
                "phase": entry.get("phase", ""),
                "at": entry.get("at", ""),
                "by": entry.get("by", ""),
                "from": entry.get("from"),
                "slot": entry.get("slot", ""),
                "images": entry.get("images") or {},
                "phases": phases,
                "seconds": round(sum(phase["seconds"] for phase in phases), 2),
                "active": number == active,
                "kept": number in kept,
            }
        )
    return found


def table(entries: Sequence[dict[str, Any]]) -> str:
    """For a terminal; the release that serves is marked."""
    rows = [COLUMNS, *(tuple(str(entry[name]) for name in COLUMNS) for entry in entries)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    marks = [" ", *("*" if entry["active"] and entry["result"] != "failed" else " " for entry in entries)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return "\n".join(f"{mark} {line}".rstrip() for mark, line in zip(marks, lines, strict=True))
