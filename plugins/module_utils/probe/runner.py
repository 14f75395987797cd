# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs probes at once, and has a result for every one of them when its time is up.

One thread per attempt, one loop that starts, times out and collects them. A thread that does not end at its deadline
loses its place at once: the next probe starts, and what the thread may still say is not listened to.
"""

from __future__ import annotations

import heapq
import http.client
import itertools
import queue
import ssl
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..common.errors import SlipwayError
from .context import Context
from .redact import redact
from .result import FAIL, OK, Outcome, ProbeResult, Report, fail, limits
from .spec import Probe

if TYPE_CHECKING:
    from .types.base import ProbeType

DEFAULT_CONCURRENCY = 32
# How long the run waits at its end for threads that were told to stop.
GRACE = 0.5
NO_THREAD = fail(
    "this machine has no thread left for it",
    "Lower concurrency, or raise the limit of tasks: systemctl show -p TasksMax.",
)


@dataclass(frozen=True)
class Bounds:
    concurrency: int = DEFAULT_CONCURRENCY
    deadline: float | None = None


@dataclass
class _State:
    """One probe while the run goes on."""

    type: ProbeType
    attempts: int = 0
    good_in_a_row: int = 0
    bad_in_a_row: int = 0
    bad: int = 0
    last: Outcome | None = None
    latency: float = 0.0
    result: ProbeResult | None = None


@dataclass
class _Attempt:
    index: int
    context: Context
    thread: threading.Thread | None = field(default=None)
    started: float = field(default_factory=time.monotonic)


def run(probes: Sequence[Probe], types: Mapping[str, type[ProbeType]], bounds: Bounds | None = None) -> Report:
    """Probe everything; the report has the probes' order."""
    return _Run(probes, types, bounds or Bounds()).go()


class _Run:
    def __init__(self, probes: Sequence[Probe], types: Mapping[str, type[ProbeType]], bounds: Bounds) -> None:
        self.bounds = bounds
        self.states = [_State(types[probe.type](probe)) for probe in probes]
        self.started = time.monotonic()
        self.end = self.started + bounds.deadline if bounds.deadline else float("inf")
        self.due = [(self.started, index) for index in range(len(probes))]
        self.running: dict[int, _Attempt] = {}
        self.lost: list[threading.Thread] = []
        self.inbox: queue.SimpleQueue[tuple[int, Outcome, float]] = queue.SimpleQueue()
        self.numbers = itertools.count()

    def go(self) -> Report:
        while self.due or self.running:
            now = time.monotonic()
            if now >= self.end:
                self._stop()
                break
            self._expire(now)
            self._start(now)
            self._collect(min(self._next_event(), self.end))
        self._bury()
        results = [state.result for state in self.states if state.result is not None]
        return Report(results, time.monotonic() - self.started)

    def _start(self, now: float) -> None:
        while self.due and self.due[0][0] <= now and len(self.running) < self.bounds.concurrency:
            _due, index = heapq.heappop(self.due)
            state = self.states[index]
            state.attempts += 1
            probe = state.type.probe
            attempt = _Attempt(index, Context(probe.timeout, probe.connect_timeout, self.end))
            number = next(self.numbers)
            thread = threading.Thread(
                target=self._work, args=(number, state.type, attempt), name=f"probe {probe.name}", daemon=True
            )
            try:
                thread.start()
            except RuntimeError:
                self._judge(index, NO_THREAD, 0.0)
                continue
            attempt.thread = thread
            self.running[number] = attempt

    def _work(self, number: int, probe_type: ProbeType, attempt: _Attempt) -> None:
        try:
            outcome = probe_type.run(attempt.context)
        except Exception as error:
            outcome = explain(error, probe_type.probe)
        finally:
            attempt.context.close()
        self.inbox.put((number, outcome, time.monotonic() - attempt.started))

    def _next_event(self) -> float:
        times = [attempt.context.deadline for attempt in self.running.values()]
        if self.due and len(self.running) < self.bounds.concurrency:
            times.append(self.due[0][0])
        return min(times, default=0.0)

    def _collect(self, until: float) -> None:
        """Take one answer, or wait until the next thing has to be done."""
        try:
            number, outcome, seconds = self.inbox.get(timeout=max(0.0, until - time.monotonic()))
        except queue.Empty:
            return
        if outcome.status == FAIL and time.monotonic() >= self.end:
            # It failed because the run ends: `_stop` says so.
            return
        attempt = self.running.pop(number, None)
        if attempt is not None:
            self._judge(attempt.index, outcome, seconds)

    def _expire(self, now: float) -> None:
        for number, attempt in list(self.running.items()):
            if attempt.context.deadline <= now:
                self._drop(number)
                self._judge(attempt.index, timed_out(self.states[attempt.index].type.probe), now - attempt.started)

    def _drop(self, number: int) -> _Attempt:
        attempt = self.running.pop(number)
        attempt.context.abort()
        if attempt.thread is not None:
            self.lost.append(attempt.thread)
        return attempt

    def _judge(self, index: int, outcome: Outcome, seconds: float) -> None:
        """Count the attempt; finish the probe or plan its next attempt."""
        state = self.states[index]
        probe = state.type.probe
        outcome = _slow(outcome, probe, seconds * 1000)
        state.last, state.latency = outcome, seconds
        if outcome.status == FAIL:
            state.bad, state.bad_in_a_row, state.good_in_a_row = state.bad + 1, state.bad_in_a_row + 1, 0
            finished = state.bad > probe.retries or state.bad_in_a_row >= probe.failures
        else:
            state.good_in_a_row, state.bad_in_a_row = state.good_in_a_row + 1, 0
            finished = state.good_in_a_row >= probe.successes
        if finished:
            self._finish(state, outcome)
        else:
            heapq.heappush(self.due, (time.monotonic() + probe.interval, index))

    def _finish(self, state: _State, outcome: Outcome) -> None:
        probe = state.type.probe
        state.result = ProbeResult(
            name=probe.name,
            type=probe.type,
            target=redact(state.type.shown_target(), probe.secrets),
            status=outcome.status,
            latency_ms=round(state.latency * 1000, 1),
            attempts=state.attempts,
            message=redact(outcome.message, probe.secrets),
            hint=redact(outcome.hint, probe.secrets),
            group=probe.group,
            expected=redact(state.type.expected(), probe.secrets),
            observed=redact(outcome.observed, probe.secrets),
        )

    def _stop(self) -> None:
        """The run's deadline: what has no result gets one that says so."""
        for number in list(self.running):
            attempt = self._drop(number)
            self.states[attempt.index].latency = time.monotonic() - attempt.started
        self.due.clear()
        for state in self.states:
            if state.result is None:
                self._finish(state, self._unfinished(state))

    def _unfinished(self, state: _State) -> Outcome:
        limit = f"the run's deadline of {self.bounds.deadline:g} s passed"
        if state.attempts == 0:
            return fail(
                f"not asked: {limit} before its turn came",
                f"Raise deadline or concurrency (now {self.bounds.concurrency}).",
            )
        if state.last is not None:
            return fail(f"{limit}; the last attempt said: {state.last.message}", state.last.hint, **state.last.observed)
        return fail(f"no answer before {limit}", "Raise deadline, or lower this probe's timeout.")

    def _bury(self) -> None:
        """Threads that were shut down end at once; one that hangs in a library is not waited for."""
        end = time.monotonic() + GRACE
        for thread in self.lost:
            thread.join(max(0.0, end - time.monotonic()))


def timed_out(probe: Probe) -> Outcome:
    return fail(
        f"no answer within {probe.timeout:g} s", "Look at the service's log, or raise timeout if it is slow by nature."
    )


def _slow(outcome: Outcome, probe: Probe, milliseconds: float) -> Outcome:
    """Apply the latency limits to a good answer."""
    status = limits(milliseconds, probe.warn_ms, probe.fail_ms)
    if outcome.status != OK or status == OK:
        return outcome
    limit = probe.fail_ms if status == FAIL else probe.warn_ms
    message = f"{outcome.message}, but it took {milliseconds:.0f} ms (limit {limit:g} ms)"
    return Outcome(status, message, "Look for load on the host or slow queries.", outcome.observed)


def explain(error: Exception, probe: Probe) -> Outcome:
    """A sentence for what went wrong in an attempt."""
    if isinstance(error, SlipwayError):
        return fail(error.message, error.hint, **error.details)
    if isinstance(error, TimeoutError):
        return fail(
            str(error) if str(error).startswith("no ") else f"no answer within {probe.timeout:g} s",
            timed_out(probe).hint,
        )
    if isinstance(error, ConnectionRefusedError):
        return fail("connection refused", "Is the service started, and does it listen on this address and port?")
    if isinstance(error, (ConnectionResetError, BrokenPipeError, http.client.RemoteDisconnected)):
        return fail("the other side closed the connection without an answer", "Look at the service's log.")
    if isinstance(error, ssl.SSLError):
        return fail(f"TLS failed: {error.reason or error}", "Does the server speak TLS on this port?")
    if isinstance(error, (OSError, http.client.HTTPException)):
        return fail(f"{getattr(error, 'strerror', None) or str(error) or type(error).__name__}")
    return fail(
        f"the probe itself broke: {type(error).__name__}: {error}", "Please report this with the probe's definition."
    )
