# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from typing import ClassVar

from ...common.errors import SlipwayError
from ...common.process import tail
from ..context import Context
from ..option import Option
from ..result import Outcome, fail, ok
from .base import ProbeType, pattern_of


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
        pattern_of(self.option("stdout_matches") or "")

    def shown_target(self) -> str:
        return self.probe.target or str(self.option("argv")[0])

    def expected(self) -> str:
        pattern = self.option("stdout_matches")
        return f"exit status {self.option('rc')}" + (f", output matching {pattern}" if pattern else "")

    def run(self, context: Context) -> Outcome:
        try:
            process = self._start()
        except OSError as error:
            raise SlipwayError(
                f"The program {self.option('argv')[0]} cannot be started: {error.strerror}.",
                hint="Is it installed on the machine that runs the probe, and may this user run it?",
            ) from error
        with process:
            context.on_abort(lambda: _kill(process))
            try:
                stdout, stderr = process.communicate(timeout=context.remaining())
            except (subprocess.TimeoutExpired, TimeoutError):
                _kill(process)
                raise TimeoutError from None
        return self._judge(process.returncode, stdout, stderr)

    def _start(self) -> subprocess.Popen[str]:
        environment = {key: str(value) for key, value in (self.option("environment") or {}).items()}
        return subprocess.Popen(
            self.option("argv"),
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            # A group of its own: at the deadline all that it started ends too.
            start_new_session=True,
        )

    def _judge(self, rc: int, stdout: str, stderr: str) -> Outcome:
        last = self.excerpt(tail(stderr, 1) or tail(stdout, 1))
        if rc != self.option("rc"):
            return fail(f"ended with status {rc} instead of {self.option('rc')}: {last}", rc=rc)
        pattern = self.option("stdout_matches")
        if pattern and not pattern_of(pattern).search(stdout):
            return fail(f"its output does not match {pattern!r}: {last}", rc=rc)
        return ok(f"ended with status {rc}", rc=rc)


def _kill(process: subprocess.Popen[str]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
