# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Running programs and saying so."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

_STARTED = time.monotonic()
_PRINTING = threading.Lock()


class LabError(Exception):
    """Something that the person at the keyboard has to know, in a sentence."""


def say(text: str) -> None:
    with _PRINTING:
        print(f"lab {time.monotonic() - _STARTED:6.1f}s  {text}", flush=True)


@contextmanager
def step(text: str) -> Iterator[None]:
    """Say what begins, and how long it took."""
    say(f"{text} ...")
    began = time.monotonic()
    yield
    say(f"{text}: done in {time.monotonic() - began:.1f} s")


def run(
    argv: Sequence[str],
    *,
    stdin: str | None = None,
    check: bool = True,
    timeout: float = 600,
    environment: dict[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    try:
        result = subprocess.run(
            argv, input=stdin, capture_output=True, text=True, timeout=timeout, check=False, env=environment
        )
    except FileNotFoundError as error:
        raise LabError(f"The program {argv[0]} is not installed.") from error
    except subprocess.TimeoutExpired as error:
        raise LabError(f"{' '.join(argv[:4])} did not end within {timeout:.0f} s.") from error
    if check and result.returncode != 0:
        tail = "\n".join((result.stdout + result.stderr).strip().splitlines()[-15:])
        raise LabError(f"{' '.join(argv[:6])} failed (exit code {result.returncode}):\n{tail}")
    return result


def logged(argv: Sequence[str], log: Path, *, environment: dict[str, str] | None = None) -> None:
    """Run a long program with its output in a file; show the end of it when it fails."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w", encoding="utf-8") as stream:
        code = subprocess.run(argv, stdout=stream, stderr=subprocess.STDOUT, check=False, env=environment).returncode
    if code != 0:
        tail = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-25:])
        raise LabError(f"{' '.join(argv[:4])} failed (exit code {code}); the whole output is in {log}:\n{tail}")


def docker(*arguments: str, stdin: str | None = None, check: bool = True, timeout: float = 600) -> str:
    return run(["docker", *arguments], stdin=stdin, check=check, timeout=timeout).stdout.strip()


def fail(message: str) -> int:
    print(f"lab: {message}", file=sys.stderr)
    return 1
