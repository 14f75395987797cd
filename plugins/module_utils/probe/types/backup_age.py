# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any, ClassVar

from ...backup.names import NAMES
from ...common import validate
from ...common.errors import SlipwayError
from ...common.files import read_json
from ..context import Context
from ..option import Option
from ..result import OK, WARN, Outcome, fail, limits, ok, warn
from .base import ProbeType
from .systemd import span

HOUR = 3600


class BackupAge(ProbeType):
    name = "backup_age"
    summary = "The last good backup of a stack is young enough, and the last attempt did not fail."
    target = "the stack's name."
    options: ClassVar[dict[str, Option]] = {
        "kind": Option("str", "Kind of the backup.", default="postgres", choices=NAMES),
        "warn_hours": Option(
            "float",
            "Age of the last good backup in hours that is a warning. Left out, it is the time from one backup to the "
            "end of the next as their timer has them, or C(backup_max_age); 26 for a nightly one.",
        ),
        "fail_hours": Option(
            "float",
            "Age of the last good backup in hours that is a failure. Left out, one backup more is missing by then; 50 "
            "for a nightly one.",
        ),
        "verified_hours": Option("float", "Hours since a backup was last read back in full that are a warning."),
    }

    def check(self) -> None:
        validate.stack_name(self.probe.target)

    def expected(self) -> str:
        limit = self.option("fail_hours")
        return f"a good backup, under {limit:g} h old" if limit else "a good backup in time"

    def run(self, context: Context) -> Outcome:
        # Imported where it is used: the engine of backups is large, and most runs have no probe of one.
        from ...backup.record import LAST
        from ...backup.spec import STATE_DIRECTORY

        path = STATE_DIRECTORY / self.probe.target / self.option("kind") / LAST
        try:
            limits = {
                name: self.option(name) or hours for name, hours in due(self.probe.target, self.option("kind")).items()
            }
            return self.judge(read_json(path, {}), datetime.now(timezone.utc), **limits)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise SlipwayError(f"The file {path} cannot be read: {error}.") from error

    def judge(self, known: dict[str, Any], now: datetime, warn_hours: float, fail_hours: float) -> Outcome:
        """The verdict about what the backup engine noted on this host."""
        failed = _after(known, "failure", "success")
        if "success" not in known:
            seen = f"there is no backup yet; the last attempt said: {failed}" if failed else "there is no backup yet"
            return fail(seen, self._command("run"))
        age = _age(known["success"], now)
        observed = {"id": known["success"]["id"], "age_hours": round(age / HOUR, 2), "bytes": known["success"]["bytes"]}
        text = f"{span(age)} old, {size(known['success']['bytes'])}"
        status = limits(age / HOUR, warn_hours, fail_hours)
        if status == OK and failed:
            status, text = WARN, f"{text}, but since then: {failed}"
        if status != OK:
            return Outcome(status, text, f"journalctl -u 'slipway-*'; {self._command('run')}", observed)
        return self._verified(known, now, text, observed)

    def _command(self, verb: str) -> str:
        kind = self.option("kind")
        return f"slipway backup {verb} {self.probe.target}" + (f" --kind {kind}" if kind != "postgres" else "")

    def _verified(self, known: dict[str, Any], now: datetime, text: str, observed: dict[str, Any]) -> Outcome:
        limit = self.option("verified_hours")
        since = _age(known["verified"], now) if "verified" in known else None
        observed["verified_hours_ago"] = None if since is None else round(since / HOUR, 2)
        read_back = "never read back" if since is None else f"read back {span(since)} ago"
        if limit is not None and (since is None or since >= limit * HOUR):
            return warn(f"{text}, {read_back}", self._command("verify"), **observed)
        return ok(f"{text}, {read_back}", **observed)


def due(stack: str, kind: str) -> dict[str, float]:
    """The limits from the timer of this kind, as the host's configuration has it."""
    from ...backup import schedule

    try:
        watch = schedule.watch(stack)
    except PermissionError:
        watch = schedule.from_dict({"random_delay": "30min"})
    return {"warn_hours": watch.max_age(kind) / HOUR, "fail_hours": watch.lost_age(kind) / HOUR}


def size(count: float) -> str:
    """Bytes for people."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB"


def _age(event: dict[str, Any], now: datetime) -> float:
    from ...backup.manifest import parse_moment

    return max(0.0, (now - parse_moment(event["time"])).total_seconds())


def _after(known: dict[str, Any], name: str, other: str) -> str:
    """What the event said, if it is newer than the other one. Moments are written so that they sort as text."""
    event = known.get(name)
    if not event or event["time"] <= known.get(other, {}).get("time", ""):
        return ""
    return f"{event['what']}: {event['message']}"
