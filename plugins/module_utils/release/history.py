# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What was released, as people and module compose_release_info read it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from . import audit, state
from .paths import StackPaths
from .store import Store

TEXTS = ("name", "kind", "result", "reason", "phase", "at", "by", "slot", "dump")
SERVED = ("succeeded", "finished after an interruption")
COLUMNS = ("release", "name", "kind", "result", "by", "at", "seconds", "slot")


def overview(stack: str, paths: StackPaths | None = None) -> dict[str, Any]:
    """Every attempt on record, newest first, and what serves. Needs neither Docker nor Nginx."""
    store = Store(paths or StackPaths(stack))
    current = store.state()
    kept = set(store.numbers())
    active = current.active.release if current.active else None
    entries = [_entry(entry, kept) for entry in reversed(audit.read(store.paths.audit))]
    # A release may be on record more than once (released, left, gone back to): its newest entry that served counts.
    serving = next((entry for entry in entries if entry["release"] == active and entry["result"] in SERVED), None)
    if serving:
        serving["active"] = True
    slot = current.active.slot if current.active else None
    return {
        "releases": entries,
        "active": active,
        "slot": slot,
        "phase": current.phase,
        "audit": audit.altered(store.paths.audit),
    }


def how_it_stands(stack: str, paths: StackPaths | None = None) -> str:
    """How the last attempt ended, and what serves, in two sentences at most."""
    found = overview(stack, paths)
    last = next((entry for entry in found["releases"] if entry["release"]), None)
    said = ""
    if last:
        at = f" in phase {last['phase']}" if last["phase"] else ""
        said = f"Release {last['name']} (number {last['release']}): {last['result']}{at}. "
    if found["phase"] != state.IDLE:
        return f"{said}A release is under way, in phase {found['phase']}."
    if found["active"] is None:
        return f"{said}No release serves."
    return f"{said}Release number {found['active']} serves from slot {found['slot']}."


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


def table(entries: Sequence[dict[str, Any]], *, long: bool = False) -> str:
    """For a terminal; the release that serves is marked, and what failed says why below its line."""
    rows = [COLUMNS, *(tuple(_cell(entry[name]) for name in COLUMNS) for entry in entries)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    lines = [_line(" ", rows[0], widths)]
    for entry, row in zip(entries, rows[1:], strict=True):
        lines.append(_line("*" if entry["active"] else " ", row, widths))
        lines += [f"    {text}" for text in _below(entry, long=long)]
    return "\n".join(lines)


def _cell(value: Any) -> str:
    return "-" if value in (None, "") else str(value)


def _line(mark: str, row: Sequence[str], widths: Sequence[int]) -> str:
    cells = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
    return f"{mark} {cells}".rstrip()


def _below(entry: Mapping[str, Any], *, long: bool) -> Iterator[str]:
    if entry["reason"]:
        yield f"{entry['phase']}: {entry['reason']}" if entry["phase"] else entry["reason"]
    if not long:
        return
    if entry["phases"]:
        yield "phases: " + ", ".join(f"{phase['name']} {phase['seconds']:g} s" for phase in entry["phases"])
    for service, image in sorted(entry["images"].items()):
        yield f"image {service}: {image}"
    if entry["dump"]:
        yield f"dump before the migration: backup {entry['dump']}"
