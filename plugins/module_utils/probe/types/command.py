# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re
from typing import ClassVar

from ...common.errors import SlipwayError
from ...common.process import run as run_program
from ...common.process import tail
from ..context import Context
from ..option import Option
from ..result import Outcome, fail, ok
from .base import ProbeType

EXCERPT = 200


class Command(ProbeType):
    name = "command"
    summary = "A program on this machine ends with the expected status. It must read only."
    target = "nothing: the program is in O(probes[].argv)."
    target_required = False
    options: ClassVar[dict[str, Option]] = {
        "argv": Option("list", "The program and its arguments; there is no shell.", elements="str", default=[]),
        "environment": Option("dict", "Environment variables, which are masked in reports.", secret=True),
        "rc": Option("int", "Expected exit status.", default=0),
        "stdout_matches": Option("str", "Regular expression that the standard output must match."),
    }

    def check(self) -> None:
        if not self.option("argv"):
            raise SlipwayError("It has no argv.", hint="Write argv: [program, argument, ...].")
        re.compile(self.option("stdout_matches") or "")

    def shown_target(self) -> str:
        return self.probe.target or str(self.option("argv")[0])

    def run(self, context: Context) -> Outcome:
        environment = {key: str(value) for key, value in (self.option("environment") or {}).items()}
        result = run_program(self.option("argv"), timeout=context.remaining(), env=environment, check=False)
        last = tail(result.stderr, 1) or tail(result.stdout, 1)
        if result.rc != self.option("rc"):
            return fail(f"ended with status {result.rc} instead of {self.option('rc')}: {last[:EXCERPT]}", rc=result.rc)
        pattern = self.option("stdout_matches")
        if pattern and not re.search(pattern, result.stdout):
            return fail(f"its output does not match {pattern!r}: {last[:EXCERPT]}", rc=result.rc)
        return ok(f"ended with status {result.rc}", rc=result.rc)
