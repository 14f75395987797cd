# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The last proof by restore of a stack's backups, as its drills noted it on this host."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any, ClassVar

from ...common import validate
from ...common.errors import SlipwayError
from ...common.files import read_json
from ..context import Context
from ..option import Option
from ..result import Outcome, fail, ok, warn
from .backup_age import BackupAge
from .base import ProbeType
from .systemd import span

HOUR = 3600
DAY = 24
# Where the host has no timer for it: a month, and some days.
USUAL_HOURS = 36.0 * DAY


class RestoreAge(ProbeType):
    name = "restore_age"
    summary = "A backup of the stack was restored to prove it, not too long ago, and the last drill did not fail."
    target = "the stack's name."
    options: ClassVar[dict[str, Option]] = {
        "kind": BackupAge.options["kind"],
        "restored_hours": Option(
            "float",
            "Hours since the last good drill that are a failure. Left out, it is the time from one drill to the next "
            "as their timer has it, and a day; 36 days without a timer.",
        ),
    }

    def check(self) -> None:
        validate.stack_name(self.probe.target)

    def expected(self) -> str:
        return "a good drill in time"

    def run(self, context: Context) -> Outcome:
        # Imported where it is used: the engine of backups is large, and most runs have no probe of one.
        from ...backup.drill_result import NOTE
        from ...backup.spec import STATE_DIRECTORY

        path = STATE_DIRECTORY / self.probe.target / self.option("kind") / NOTE
        try:
            known = read_json(path, {})
            return self.judge(known, datetime.now(timezone.utc), self.option("restored_hours") or self._due())
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise SlipwayError(f"The file {path} cannot be read: {error}.") from error

    def _due(self) -> float:
        from ...backup import schedule

        try:
            watch = schedule.watch(self.probe.target)
        except PermissionError:
            return USUAL_HOURS
        calendar = watch.timers.get(schedule.DRILL)
        return watch.due(calendar) / HOUR + DAY if calendar else USUAL_HOURS

    def judge(self, known: dict[str, Any], now: datetime, restored_hours: float) -> Outcome:
        from ...backup.drill_result import GOOD
        from ...backup.manifest import parse_moment

        last, good = known.get("last"), known.get("good")
        if last and last["result"] != GOOD:
            return fail(f"the last drill failed: {last['reason']}", self._command())
        if not good:
            return warn("no backup was ever restored to prove it", self._command())
        age = max(0.0, (now - parse_moment(good["time"])).total_seconds())
        seconds = float(good["restore_seconds"])
        observed = {"id": good["backup"], "age_hours": round(age / HOUR, 2), "restore_seconds": seconds}
        text = f"{good['backup']} was restored {span(age)} ago, in {span(seconds)}"
        if age >= restored_hours * HOUR:
            return fail(text, self._command(), **observed)
        return ok(text, **observed)

    def _command(self) -> str:
        kind = self.option("kind")
        return f"slipway backup drill {self.probe.target}" + (f" --kind {kind}" if kind != "postgres" else "")
