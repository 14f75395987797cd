# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Running other programs: argument lists only, never a shell, always with a time limit."""

from __future__ import annotations

import os
import shlex
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .errors import SlipwayError

TAIL_LINES = 12


@dataclass(frozen=True)
class Result:
    argv: tuple[str, ...]
    rc: int
    stdout: str
    stderr: str
    seconds: float


class CommandError(SlipwayError):
    """A program ended with a non-zero status, could not be started or ran too long."""

    def __init__(self, message: str, *, result: Result | None = None, hint: str = "") -> None:
        details = {"rc": result.rc, "stderr": tail(result.stderr), "stdout": tail(result.stdout)} if result else {}
        super().__init__(message, hint=hint, details=details)
        self.result = result


def tail(text: str, lines: int = TAIL_LINES) -> str:
    return "\n".join(text.strip().splitlines()[-lines:])


def run(
    argv: Sequence[str],
    *,
    timeout: float,
    env: Mapping[str, str] | None = None,
    stdin: str | None = None,
    cwd: str | None = None,
    check: bool = True,
) -> Result:
    """Run `argv` to its end. `env` is added to this process's environment (secrets go there, not in `argv`)."""
    started = time.monotonic()
    try:
        done = subprocess.run(
            list(argv),
            timeout=timeout,
            env={**os.environ, **env} if env is not None else None,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            cwd=cwd,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    except FileNotFoundError as error:
        raise CommandError(f"The program {argv[0]} is not installed ({error.strerror}).") from error
    except subprocess.TimeoutExpired as error:
        raise CommandError(f"`{shlex.join(argv)}` did not end within {timeout:g} s and was stopped.") from error
    result = Result(tuple(argv), done.returncode, done.stdout, done.stderr, time.monotonic() - started)
    if check and result.rc != 0:
        reason = tail(result.stderr, 3) or tail(result.stdout, 3) or "it printed nothing"
        raise CommandError(f"`{shlex.join(argv)}` ended with status {result.rc}: {reason}", result=result)
    return result
