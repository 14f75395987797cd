# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`slipway status`: what serves, how it is, what happened last and what stands in the way."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from ..common.errors import SlipwayError
from ..common.lock import FileLock, boot_id
from ..release import audit, drift, planning
from ..release.daemon import Container
from ..release.host import Host
from ..release.paths import DATA, SLOTS, STACKS
from ..release.state import NOTHING, State
from . import selection


def stacks() -> list[str]:
    """The stacks of this host, by name."""
    return sorted(path.parent.name for path in STACKS.glob("*/state.json"))


def gather(stack: str) -> dict[str, Any]:
    """Everything about one stack, for people and for JSON."""
    host = selection.host_of(stack)
    current = host.store.state()
    entries = audit.read(host.paths.audit)
    slots, problem = _slots(host, current)
    return {
        "stack": stack,
        "release": _serving(host, current, entries),
        "phase": current.phase,
        "under_way": _under_way(current),
        "slots": slots,
        "last": _last(entries),
        "maintenance": host.paths.maintenance.exists(),
        "lock": holder(host.lock("status", 0.0)),
        "warnings": [problem] if problem else _warnings(host, current),
    }


def _serving(host: Host, current: State, entries: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    serving = host.serving(current)
    if serving is None:
        return None
    since = [entry["at"] for entry in entries if entry.get("release") == serving.record.number and _served(entry)]
    return {
        "number": serving.record.number,
        "name": serving.record.name,
        "slot": serving.slot,
        "since": since[-1] if since else serving.record.created,
        "by": serving.record.by,
    }


def _served(entry: Mapping[str, Any]) -> bool:
    return str(entry.get("result", "")).startswith(("succeeded", "finished"))


def _under_way(current: State) -> dict[str, Any] | None:
    moving = current.transition
    if moving is None:
        return None
    return {"release": moving.release, "kind": moving.kind, "started": moving.started, "by": moving.by}


def _last(entries: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    if not entries:
        return None
    entry = entries[-1]
    seconds = round(sum(phase["seconds"] for phase in entry.get("phases") or []), 1)
    kept = {
        name: entry.get(name) or "" for name in ("kind", "release", "name", "result", "phase", "reason", "at", "by")
    }
    return {**kept, "seconds": seconds}


def _slots(host: Host, current: State) -> tuple[dict[str, Any], str]:
    """The containers by project; without the Engine none, and a sentence that says so."""
    found = {}
    try:
        for name in (*SLOTS, DATA):
            entries = host.daemon.containers(host.paths.project(name))
            held = current.slots.get(name)
            number = held.release if held and held.release != NOTHING else None
            found[name] = {"release": number, "containers": [_container(entry, current.stack) for entry in entries]}
    except SlipwayError as error:
        return {}, str(error)
    return found, ""


def _container(entry: Container, stack: str) -> dict[str, Any]:
    return {
        "name": selection.label(entry, stack),
        "service": entry.service,
        "state": entry.status,
        # What a stopped container last said about its health is no news.
        "health": entry.health if entry.running else "-",
        "restarts": entry.restarts,
        "started": entry.started_at[:19] + "Z",
    }


def _warnings(host: Host, current: State) -> list[str]:
    serving = host.serving(current)
    if serving is None:
        return []
    if current.transition is not None:
        return planning.data_changes(current, serving.record)
    return [*drift.findings(host, current, serving), *planning.data_changes(current, serving.record)]


def holder(lock: FileLock) -> dict[str, Any] | None:
    """Who holds the lock; the note of a process that is gone counts for nothing."""
    note = lock.holder()
    if not note or note.get("boot_id") != boot_id():
        return None
    try:
        os.kill(int(note["pid"]), 0)
    except ProcessLookupError:
        return None
    return {name: note.get(name, "") for name in ("pid", "since", "what", "by")}


# --- for people


def describe(found: Mapping[str, Any], now: datetime) -> list[str]:
    """A stack on a screen."""
    lines = [_headline(found, now)]
    moving = found["under_way"]
    if moving:
        lines.append(f"  under way    {moving['kind']} of number {moving['release']}, at phase {found['phase']}")
    lines += [f"  last         {_sentence_of_last(found['last'])}"] if found["last"] else []
    lines += [f"  {line}" for line in _table(found)]
    lines.append(f"  maintenance  {'on: visitors see the maintenance page' if found['maintenance'] else 'off'}")
    lock = found["lock"]
    who = f"{lock['what']} (pid {lock['pid']}) since {lock['since']}" if lock else "free"
    lines.append(f"  lock         {who}")
    lines += [f"  warning      {warning}" for warning in found["warnings"]]
    return lines


def _headline(found: Mapping[str, Any], now: datetime) -> str:
    release = found["release"]
    if release is None:
        return f"{found['stack']}: no release serves"
    return (
        f"{found['stack']}: release {release['name']} (number {release['number']}) serves from slot {release['slot']} "
        f"since {release['since']} ({ago(release['since'], now)})"
    )


def ago(moment: str, now: datetime) -> str:
    """How long ago, in the largest unit that says enough."""
    then = datetime.fromisoformat(moment.replace("Z", "+00:00"))
    seconds = max(0, int((now - then.astimezone(timezone.utc)).total_seconds()))
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} seconds"


def _sentence_of_last(last: Mapping[str, Any]) -> str:
    said = f"{last['kind']} of {last['name']} (number {last['release']}) {last['result']} at {last['at']}"
    said += f" after {last['seconds']} s, by {last['by'] or 'unknown'}"
    return f"{said}; phase {last['phase']}: {last['reason']}" if last["reason"] else said


def _table(found: Mapping[str, Any]) -> list[str]:
    rows = [("slot", "container", "state", "health", "restarts")]
    for slot, held in found["slots"].items():
        for entry in held["containers"]:
            rows.append((slot, entry["name"], entry["state"], entry["health"], str(entry["restarts"])))
    if len(rows) == 1:
        return []
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
