# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is wrong with a stack's backups, from what this host knows without asking anybody.

It holds also when the backups themselves are dead: nothing here is told by a backup that runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from ..alerts.message import CRITICAL, WARNING, Alarm
from ..common import units
from . import drill, manifest, record, schedule, spec
from .schedule import Watch
from .wal import status as wal_status
from .wal.archive import parse_moment

SYSTEMD_SECONDS = 30.0
# A unit that is one of these starts at boot.
ENABLED = ("enabled", "enabled-runtime", "static", "generated", "linked", "alias")
# Where a record says that a work ended well.
GOOD = {record.BACKUP: ("success", "finished"), record.VERIFY: ("verified", "time"), record.DRILL: ("restored", "time")}
HOUR = 3600
DAY = 86400


@dataclass(frozen=True)
class Facts:
    """What a verdict needs, gathered once. `configured` is since when there is a backup to expect."""

    stack: str
    watch: Watch
    configured: datetime
    last: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    units: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    wal: Mapping[str, Any] | None = None
    max_age: Mapping[str, float] = field(default_factory=dict)
    verify_age: float | None = None
    # Seconds after which a kind that is drilled should have been restored again.
    drill_age: Mapping[str, float] = field(default_factory=dict)


def gather(stack: str) -> Facts:
    """From the configuration, the records, systemd and the shipper's status file; no network."""
    loaded = {kind: spec.load(stack, kind) for kind in spec.kinds(stack)}
    watched = schedule.watch(stack)
    names = [f"{unit}{stack}{ending}" for unit in watched.timers for ending in (".timer", ".service")]
    ships = "base" in loaded
    if ships:
        names.append(shipper(stack))
    shown = units.show(names, SYSTEMD_SECONDS) if names else []
    written = (spec.CONFIG_DIRECTORY / f"{stack}.json").stat().st_mtime
    verify, practice = (watched.timers.get(unit, "") for unit in (schedule.VERIFY, schedule.DRILL))
    drilled = [kind for kind, one in loaded.items() if kind in drill.TRIALS and kind in (one.drill.kinds or loaded)]
    return Facts(
        stack=stack,
        watch=watched,
        configured=datetime.fromtimestamp(written, timezone.utc),
        last={kind: record.last(one) for kind, one in loaded.items()},
        units=dict(zip(names, shown, strict=True)),
        wal=wal_status.read(stack) if ships else None,
        max_age={kind: watched.max_age(kind) for kind in loaded},
        verify_age=watched.due(verify) if verify else None,
        drill_age=dict.fromkeys(drilled, watched.due(practice)) if practice else {},
    )


def shipper(stack: str) -> str:
    return f"slipway-wal@{stack}.service"


def find(facts: Facts, now: datetime) -> list[Alarm]:
    """Every alarm there is now. Pure."""
    found = [alarm for kind in facts.last for alarm in _of_kind(facts, kind, now)]
    found += [alarm for unit in facts.watch.timers for alarm in _of_timer(facts, unit)]
    return found + list(_of_log(facts, now))


def _of_kind(facts: Facts, kind: str, now: datetime) -> Iterator[Alarm]:
    known = facts.last[kind]
    for what, told in sorted(known.get("failing", {}).items()):
        yield Alarm(
            f"{what}.{kind}", f"The {what} of kind {kind} failed at {told['time']}: {told['message']}", _log(facts)
        )
    made = _moment(known.get("success"))
    limit = facts.max_age[kind]
    age = (now - (made or facts.configured)).total_seconds()
    if age > limit:
        since = (
            f"The last good backup of kind {kind} is {_span(age)} old" if made else f"There is no backup of kind {kind}"
        )
        yield Alarm(
            f"age.{kind}",
            f"{since}, the limit is {_span(limit)}.",
            f"systemctl list-timers 'slipway-*'; slipway backup run {facts.stack} --kind {kind}",
        )
    read = [one for one in (_moment(known.get("verified")), _moment(known.get("confirmed"))) if one]
    if made is not None:
        yield from _of_drill(facts, kind, now)
    if facts.verify_age is None or made is None or record.VERIFY in known.get("failing", {}):
        return
    age = (now - max(read, default=facts.configured)).total_seconds()
    if age > facts.verify_age:
        since = f"was read back {_span(age)} ago" if read else "was never read back"
        yield Alarm(
            f"verified.{kind}",
            f"The last backup of kind {kind} {since}, the limit is {_span(facts.verify_age)}.",
            f"slipway backup verify {facts.stack} --kind {kind}",
            WARNING,
        )


def _of_drill(facts: Facts, kind: str, now: datetime) -> Iterator[Alarm]:
    limit = facts.drill_age.get(kind)
    known = facts.last[kind]
    if limit is None or record.DRILL in known.get("failing", {}):
        return
    restored = _moment(known.get("restored"))
    for sentence in _missed(known):
        yield Alarm(
            f"goal.{kind}.{sentence[:3].lower()}",
            f"The last drill of kind {kind}: {sentence}",
            f"slipway backup drill {facts.stack} --kind {kind}",
            WARNING,
        )
    age = (now - (restored or facts.configured)).total_seconds()
    if age > limit:
        since = f"was last restored to prove it {_span(age)} ago" if restored else "was never restored to prove it"
        yield Alarm(
            f"restored.{kind}",
            f"A backup of kind {kind} {since}, the limit is {_span(limit)}.",
            f"slipway backup drill {facts.stack} --kind {kind}",
            WARNING,
        )


def _missed(known: Mapping[str, Any]) -> list[str]:
    """What the last good drill measured to be more than what was promised."""
    return list((known.get("restored") or {}).get("missed") or [])


def _of_timer(facts: Facts, unit: str) -> Iterator[Alarm]:
    timer, service = f"{unit}{facts.stack}.timer", f"{unit}{facts.stack}.service"
    yield from _armed(facts, timer)
    shown = facts.units.get(service, {})
    if shown.get("ActiveState") == "failed" and not _told(facts, unit, units.stamp(shown["InactiveEnterTimestamp"])):
        yield Alarm(
            f"unit.{service}",
            f"{service} ended badly ({shown['Result']}).",
            f"journalctl -u {service}; systemctl status {service}",
        )


def _armed(facts: Facts, unit: str) -> Iterator[Alarm]:
    """A unit that should be active and start at boot."""
    shown = facts.units.get(unit, {})
    key = f"unit.{unit}"
    if shown.get("LoadState") != "loaded":
        yield Alarm(
            key, f"{unit} is {shown.get('LoadState') or 'unknown'}.", f"systemctl unmask {unit}; systemctl cat {unit}"
        )
    elif shown["ActiveState"] not in ("active", "activating", "reloading"):
        yield Alarm(key, f"{unit} is stopped ({shown['ActiveState']}).", f"systemctl enable --now {unit}")
    elif shown["UnitFileState"] not in ENABLED:
        yield Alarm(
            key, f"{unit} does not start at boot ({shown['UnitFileState']}).", f"systemctl enable {unit}", WARNING
        )


def _told(facts: Facts, unit: str, ended: float | None) -> bool:
    """Whether the bad end is told by a record already, or was made good since by other means than the timer."""
    what = {schedule.VERIFY: record.VERIFY, schedule.DRILL: record.DRILL}.get(unit, record.BACKUP)
    for kind, known in facts.last.items():
        if what == record.BACKUP and not _starts(unit, kind):
            continue
        # A base backup reads itself back, so its unit fails by either.
        if {what, record.VERIFY if unit == schedule.BASE else what} & set(known.get("failing", {})):
            return True
        if what == record.DRILL and _missed(known):
            return True
        word, moment = GOOD[what]
        good = known.get(word, {}).get(moment)
        if good and ended and manifest.parse_moment(good).timestamp() >= ended:
            return True
    return False


def _starts(unit: str, kind: str) -> bool:
    return unit == {"postgres": schedule.DATABASE, "base": schedule.BASE}.get(kind, f"slipway-backup-{kind}@")


def _of_log(facts: Facts, now: datetime) -> Iterator[Alarm]:
    if facts.wal is None:
        return
    unit = shipper(facts.stack)
    yield from _armed(facts, unit)
    covered = parse_moment(str(facts.wal.get("covered") or ""))
    behind = (now - (covered or facts.configured)).total_seconds()
    if behind > facts.watch.max_lag:
        seen = f"is {_span(behind)} behind the database" if covered else "holds nothing yet"
        why = f" {facts.wal['failure']}" if facts.wal.get("failure") else ""
        yield Alarm(
            "wal.lag", f"The log in the bucket {seen}.{why}", f"journalctl -u {unit}; slipway wal status {facts.stack}"
        )
    slot = facts.wal.get("slot") or {}
    if slot.get("status") in ("unreserved", "lost"):
        severity = CRITICAL if slot["status"] == "lost" else WARNING
        hint = f"slipway wal status {facts.stack}"
        yield Alarm("wal.slot", f"The server gives up the log's replication slot ({slot['status']}).", hint, severity)


def _log(facts: Facts) -> str:
    return f"journalctl -u 'slipway-*@{facts.stack}.service'"


def _moment(event: Mapping[str, Any] | None) -> datetime | None:
    return manifest.parse_moment(event["time"]) if event else None


def _span(seconds: float) -> str:
    for size, word in ((DAY, "d"), (HOUR, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {word}"
    return f"{seconds:.0f} s"
