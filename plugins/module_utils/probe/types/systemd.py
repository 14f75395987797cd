# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any, ClassVar

from ...common.errors import SlipwayError
from ...common.units import seconds_since, show
from ..context import Context
from ..option import Option
from ..result import Outcome, fail, ok, warn
from .base import ProbeType


class Systemd(ProbeType):
    name = "systemd"
    summary = "A unit is active; for a timer also that it fires and that what it starts succeeds."
    target = "a unit's name, such as nginx.service or certbot.timer."
    options: ClassVar[dict[str, Option]] = {
        "max_age": Option("float", "For a timer: seconds after which it must have fired again."),
        "enabled": Option("bool", "Whether the unit must also start at boot.", default=False),
    }

    def check(self) -> None:
        if "." not in self.probe.target or "/" in self.probe.target or self.probe.target.startswith("-"):
            raise SlipwayError(
                f"{self.probe.target!r} is not a unit.", hint="Write its full name, such as nginx.service."
            )

    def expected(self) -> str:
        age = self.option("max_age")
        fires = f", fires every {span(age)}" if age else ""
        return "active" + (", starts at boot" if self.option("enabled") else "") + fires

    def run(self, context: Context) -> Outcome:
        unit = self.probe.target
        [state] = show([unit], context.remaining())
        observed: dict[str, Any] = {
            "active": state["ActiveState"],
            "sub": state["SubState"],
            "enabled": state["UnitFileState"],
        }
        if state["LoadState"] != "loaded":
            return fail(f"the unit is {state['LoadState']}", f"systemctl status {unit}", **observed)
        if state["ActiveState"] != "active":
            what = (
                state["ActiveState"]
                if state["Result"] in ("", "success")
                else f"{state['ActiveState']} ({state['Result']})"
            )
            return fail(f"the unit is {what}", f"systemctl status {unit}; journalctl -u {unit}", **observed)
        if self.option("enabled") and state["UnitFileState"] not in ("enabled", "static", "generated"):
            return warn("active, but it does not start at boot", f"systemctl enable {unit}", **observed)
        if unit.endswith(".timer"):
            return self._timer(state, observed, context)
        return ok("active", **observed)

    def _timer(self, state: dict[str, str], observed: dict[str, Any], context: Context) -> Outcome:
        [started] = show([state["Unit"]], context.remaining())
        observed.update(triggers=state["Unit"], last_result=started["Result"])
        if started["ActiveState"] == "failed":
            return fail(f"{state['Unit']} failed ({started['Result']})", f"journalctl -u {state['Unit']}", **observed)
        fired = seconds_since(state["LastTriggerUSec"])
        observed["seconds_since_run"] = fired
        # A timer that has not fired yet is judged by the time since it was armed.
        age = fired if fired is not None else seconds_since(state["ActiveEnterTimestamp"]) or 0.0
        limit = self.option("max_age")
        if limit and age > limit:
            return fail(
                f"has not fired for {span(age)} (limit {span(limit)})",
                f"systemctl list-timers {self.probe.target}",
                **observed,
            )
        return ok(f"armed, fired {span(fired)} ago" if fired is not None else "armed, has not fired yet", **observed)


def span(seconds: float) -> str:
    for size, word in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {word}"
    return f"{seconds:.0f} s"
