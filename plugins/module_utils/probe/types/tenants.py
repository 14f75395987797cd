# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sign-ups, as the last run of the reconcile timer noted them on this host."""

from __future__ import annotations

import time
from typing import Any, ClassVar

from ...common import validate
from ...common.errors import SlipwayError
from ...common.files import read_json
from ...tenancy import problems
from ..context import Context
from ..option import Option
from ..result import Outcome, fail, ok, warn
from .base import ProbeType
from .systemd import span

USUAL_SECONDS = 600.0


class Tenants(ProbeType):
    name = "tenants"
    summary = (
        "Every row of C(public.tenants) is served, and the timer that sees to it runs (C(tenants_source=registry))."
    )
    target = "the stack's name."
    options: ClassVar[dict[str, Option]] = {
        "looked_seconds": Option(
            "float", "Seconds since the timer's last run that are a failure.", default=USUAL_SECONDS
        ),
    }

    def check(self) -> None:
        validate.stack_name(self.probe.target)

    def expected(self) -> str:
        return "every sign-up is served"

    def run(self, context: Context) -> Outcome:
        path = problems.NOTES / f"{self.probe.target}.json"
        try:
            age = max(0.0, time.time() - path.stat().st_mtime)
        except FileNotFoundError:
            return fail("nobody has looked at the sign-ups yet", self._status())
        try:
            return self.judge(read_json(path, {}), age)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise SlipwayError(f"The file {path} cannot be read: {error}.") from error

    def judge(self, known: dict[str, Any], age: float) -> Outcome:
        observed = {"rows": known.get("rows", 0), "age_seconds": round(age)}
        if age >= self.option("looked_seconds"):
            return fail(f"nobody has looked at the sign-ups for {span(age)}", self._status(), **observed)
        if known["error"]:
            return fail(f"the sign-ups cannot be looked at: {known['error']}", self._status(), **observed)
        problems = known["problems"]
        if problems:
            first = problems[0]
            more = f" ({len(problems) - 1} more)" if len(problems) > 1 else ""
            text = f"{first['name']!r} is not served since {first['since']}: {first['reason']}{more}"
            # whoever signs up must not make a playbook fail
            return warn(text, f"slipway tenants reconcile {self.probe.target} --now", **observed)
        return ok(f"all {observed['rows']} rows are served", **observed)

    def _status(self) -> str:
        return f"systemctl status slipway-tenants@{self.probe.target}.timer slipway-tenants@{self.probe.target}.service"
