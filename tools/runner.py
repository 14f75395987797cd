# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs named stages, several at a time, shows how far it is, keeps a log of each and counts what passed and failed."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

HEARTBEAT_SECONDS = 30
TAIL_LINES = 40
_COLOUR = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\]8;[^\x1b]*\x1b\\")


@dataclass(frozen=True)
class Count:
    """What a stage found. A stage without single results counts as one."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    note: str = ""

    def __add__(self, other: Count) -> Count:
        note = "; ".join(text for text in (self.note, other.note) if text)
        return Count(self.passed + other.passed, self.failed + other.failed, self.skipped + other.skipped, note)


class StageFailed(Exception):
    """The stage did not pass; the count may already say how many of its tests failed."""

    def __init__(self, reason: str, count: Count | None = None, lines: Sequence[str] = ()) -> None:
        super().__init__(reason)
        self.lines = lines
        self.count = count if count and count.failed else (count or Count()) + Count(failed=1)


@dataclass(frozen=True)
class Stage:
    name: str
    work: Callable[[Log], Count]
    minutes: float = 10
    # Stages that use the same thing, a server for example, wait for each other.
    uses: str = ""


class Log:
    """The log of one stage; commands run through it, so that what they print is in it."""

    def __init__(self, path: Path, deadline: float, running: set[int]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.deadline = deadline
        self._running = running
        path.write_bytes(b"")

    def write(self, text: str) -> None:
        with self.path.open("a") as handle:
            handle.write(f"{text}\n")

    def run(self, argv: Sequence[str | Path], *, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> int:
        """Run a command to its end and return its code; nothing of it stays when the stage's time is over."""
        words = [str(word) for word in argv]
        self.write(f"$ {' '.join(words)}")
        with self.path.open("ab") as handle:
            process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=handle,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(env or {})},
                cwd=cwd,
                start_new_session=True,
            )
            self._running.add(process.pid)
            try:
                return process.wait(timeout=max(1.0, self.deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                raise StageFailed(f"`{words[0]}` was still running when the stage's time was over") from None
            finally:
                self._running.discard(process.pid)

    def check(
        self, argv: Sequence[str | Path], *, env: Mapping[str, str] | None = None, cwd: Path | None = None
    ) -> None:
        code = self.run(argv, env=env, cwd=cwd)
        if code:
            raise StageFailed(f"`{Path(str(argv[0])).name}` ended with code {code}")

    def lines(self) -> list[str]:
        text = self.path.read_text(errors="replace").replace("\r", "\n")
        return [line for line in (_COLOUR.sub("", line).rstrip() for line in text.splitlines()) if line]


def junit(*paths: Path) -> Count:
    """Count the test cases of JUnit files."""
    total = Count()
    for path in paths:
        for case in ElementTree.parse(path).iter("testcase"):  # noqa: S314 - written by a stage of our own a moment ago
            kinds = {child.tag for child in case}
            if kinds & {"failure", "error"}:
                total += Count(failed=1)
            elif "skipped" in kinds:
                total += Count(skipped=1)
            else:
                total += Count(passed=1)
    return total


@dataclass
class Outcome:
    number: int
    stage: Stage
    count: Count
    seconds: float
    reason: str = ""
    lines: Sequence[str] = ()
    log: Path = field(default_factory=Path)


class Runner:
    def __init__(self, logs: Path, *, at_once: int = 1, fail_fast: bool = False) -> None:
        self.logs = logs
        self.at_once = at_once
        self.fail_fast = fail_fast
        self.outcomes: list[Outcome] = []
        self._waiting: list[tuple[int, Stage]] = []
        self._used: set[str] = set()
        self._change = threading.Condition()
        self._running: set[int] = set()
        self._print = threading.Lock()
        self._over = threading.Event()

    def say(self, text: str) -> None:
        with self._print:
            print(text, flush=True)

    def run(self, stages: Sequence[Stage]) -> int:
        """Each that waits begins as soon as there is room and nobody uses what it uses, the first ones first."""
        started = time.monotonic()
        self._waiting = list(enumerate(stages, 1))
        with ThreadPoolExecutor(max_workers=self.at_once) as pool:
            try:
                for work in [pool.submit(self._work, len(stages)) for _worker in range(self.at_once)]:
                    work.result()
            except KeyboardInterrupt:
                self._end_commands()
                self.say("interrupted")
                return 130
        return self._summary(time.monotonic() - started, len(stages))

    def _work(self, of: int) -> None:
        while taken := self._take():
            number, stage = taken
            try:
                outcome = self._one(number, of, stage)
                self.outcomes.append(outcome)
                if self.fail_fast and outcome.reason:
                    self._over.set()
            finally:
                # Also after an error of our own: whoever waits for the same thing would wait for ever.
                with self._change:
                    self._used.discard(stage.uses)
                    self._change.notify_all()

    def _take(self) -> tuple[int, Stage] | None:
        with self._change:
            while self._waiting and not self._over.is_set():
                for taken in self._waiting:
                    if not (taken[1].uses and taken[1].uses in self._used):
                        self._waiting.remove(taken)
                        self._used.add(taken[1].uses)
                        return taken
                self._change.wait()
        return None

    def _end_commands(self) -> None:
        with self._change:
            self._over.set()
            self._change.notify_all()
        for group in list(self._running):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, signal.SIGTERM)

    def _one(self, number: int, of: int, stage: Stage) -> Outcome:
        title = f"[{number:2}/{of}] {stage.name}"
        self.say(f"{title} ...")
        started = time.monotonic()
        name = re.sub(r"[^A-Za-z0-9.]+", "-", stage.name)
        log = Log(self.logs / f"{name}.log", started + stage.minutes * 60, self._running)
        reason, lines = "", list[str]()
        with self._heartbeat(title, log, started):
            try:
                count = stage.work(log)
                if not count.passed:
                    raise StageFailed("it ran no test at all", count)
            except StageFailed as failure:
                count, reason = failure.count, str(failure)
                lines = list(failure.lines) or log.lines()[-TAIL_LINES:]
        outcome = Outcome(number, stage, count, time.monotonic() - started, reason, lines, log.path)
        self._tell(title, outcome)
        return outcome

    def _tell(self, title: str, outcome: Outcome) -> None:
        count = outcome.count
        parts = [f"{count.passed} passed"]
        parts += [f"{count.failed} failed"] if count.failed else []
        parts += [f"{count.skipped} skipped"] if count.skipped else []
        line = f"{title}: {', '.join(parts)} in {outcome.seconds:.1f} s"
        line += f" ({count.note})" if count.note else ""
        if outcome.reason:
            tail = "\n".join(f"    | {text}" for text in outcome.lines)
            line += f"\n    FAILED: {outcome.reason}. From {outcome.log}:\n{tail}"
        self.say(line)

    @contextlib.contextmanager
    def _heartbeat(self, title: str, log: Log, started: float) -> Iterator[None]:
        """Say from time to time what a long stage is doing."""
        over = threading.Event()

        def beat() -> None:
            while not over.wait(HEARTBEAT_SECONDS):
                last = (log.lines() or [""])[-1]
                self.say(f"{title}: {time.monotonic() - started:.0f} s ... {last[:110]}")

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _summary(self, seconds: float, wanted: int) -> int:
        total = sum((outcome.count for outcome in self.outcomes), Count())
        width = max((len(outcome.stage.name) for outcome in self.outcomes), default=0)
        self.say("")
        for outcome in sorted(self.outcomes, key=lambda outcome: outcome.number):
            verdict = "FAILED" if outcome.reason else "passed"
            count = outcome.count
            self.say(
                f"  {outcome.stage.name:<{width}}  {verdict}  {outcome.seconds:7.1f} s  {count.passed:5} passed"
                f"  {count.failed:3} failed  {count.skipped:3} skipped"
            )
        if len(self.outcomes) < wanted:
            self.say(f"  {wanted - len(self.outcomes)} stages were not run")
        self.say(f"\n{len(self.outcomes)} stages in {seconds / 60:.1f} minutes; logs are in {self.logs}")
        if total.skipped:
            self.say(f"{total.skipped} skipped (the logs say why)")
        self.say(f"{total.passed} passed, {total.failed} failed")
        return 1 if total.failed or not self.outcomes else 0


def stop_on_terminate() -> None:
    """A `kill` ends a run as Ctrl-C does: the commands that it started end with it."""
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # stdout is a text stream here
