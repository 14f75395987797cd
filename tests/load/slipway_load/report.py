# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What became of the requests: counts, losses, latencies, releases."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

# Quick kinds: their latency says what visitors feel. A slow request is slow on purpose.
QUICK = ("get", "post", "page")
WEBSOCKET = "websocket"
# A release that answers again after this time has come back; before it, two answers have overtaken each other.
SETTLED_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Sample:
    """One request. An empty reason means a good answer; the latency counts from the due time."""

    kind: str
    due: float
    seconds: float
    late: float
    release: str
    reason: str


@dataclass(frozen=True, slots=True)
class Session:
    """One WebSocket from its opening to its end."""

    visitor: int
    opened: float
    closed: float
    release: str
    code: int
    reason: str


@dataclass(frozen=True)
class Window:
    name: str
    start: float
    end: float

    def __contains__(self, moment: float) -> bool:
        return self.start <= moment <= self.end


@dataclass(frozen=True)
class Latency:
    """In milliseconds."""

    count: int
    p50: float
    p95: float
    p99: float
    most: float

    def __str__(self) -> str:
        return f"p50 {self.p50} ms, p95 {self.p95} ms, p99 {self.p99} ms, most {self.most} ms"


@dataclass(frozen=True)
class Seen:
    """When a release answered for the first and for the last time, by the due time of the request."""

    release: str
    first: float
    last: float
    answers: int


@dataclass(frozen=True)
class Switch:
    """The moment from which another release answers, and the last request that the one before it answered."""

    before: str
    release: str
    moment: float
    last_before: float

    @property
    def overlap(self) -> float:
        """Seconds in which both answered, by the due times of the requests."""
        return self.last_before - self.moment


def percentile(ordered: Sequence[float], share: float) -> float:
    """The nearest rank: a value that was measured, not one in between."""
    if not ordered:
        return float("nan")
    rank = max(1, -(-len(ordered) * share // 1))
    return ordered[int(rank) - 1]


def latency(seconds: Iterable[float]) -> Latency:
    ordered = sorted(value * 1000 for value in seconds)
    points = [percentile(ordered, share) for share in (0.50, 0.95, 0.99, 1.0)]
    return Latency(len(ordered), *(round(point, 1) for point in points))


def clock(moment: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(moment)) + f".{int(moment % 1 * 1000):03d}"


@dataclass
class Report:
    began: float
    ended: float
    connections: int
    samples: list[Sample]
    sessions: list[Session]
    windows: list[Window] = field(default_factory=list)

    @classmethod
    def read(cls, path: Path) -> Report:
        data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        data["samples"] = [Sample(*values) for values in data["samples"]]
        data["sessions"] = [Session(*values) for values in data["sessions"]]
        return cls(**data)

    # --- counts

    @property
    def requests(self) -> int:
        return len(self.samples)

    def counts(self) -> dict[str, dict[str, int]]:
        """Kind -> how many, and how many of them were lost. A session of a WebSocket counts as one."""
        sent = Counter(sample.kind for sample in self.samples)
        lost = Counter(sample.kind for sample in self.samples if sample.reason)
        found = {kind: {"sent": sent[kind], "lost": lost[kind]} for kind in sorted(sent)}
        if self.sessions:
            cut = sum(1 for session in self.sessions if session.reason)
            found[WEBSOCKET] = {"sent": len(self.sessions), "lost": cut}
        return found

    @property
    def lost(self) -> int:
        """Everything that was no good answer, and every WebSocket that was cut."""
        return sum(count["lost"] for count in self.counts().values())

    @property
    def requests_lost(self) -> int:
        """Without the WebSockets that were held."""
        return sum(1 for sample in self.samples if sample.reason)

    def losses(self, limit: int = 0) -> list[str]:
        """One line each: time, kind, release if known, reason."""
        found = [(sample.due, sample.seconds, sample.kind, sample.release, sample.reason) for sample in self.samples]
        found += [(s.closed, s.closed - s.opened, WEBSOCKET, s.release, s.reason) for s in self.sessions]
        lines = [
            f"{clock(moment)} {kind} after {seconds:.3f} s{f' from {release}' if release else ''}: {reason}"
            for moment, seconds, kind, release, reason in sorted(found)
            if reason
        ]
        return lines[:limit] if limit else lines

    def reasons(self) -> dict[str, int]:
        found = [f"{sample.kind}: {sample.reason}" for sample in self.samples if sample.reason]
        found += [f"{WEBSOCKET}: {session.reason}" for session in self.sessions if session.reason]
        return dict(Counter(found).most_common())

    # --- latency

    def window(self, name: str) -> Latency:
        """Of all windows of that name together."""
        chosen = [window for window in self.windows if window.name == name]
        return self._latency(lambda moment: any(moment in window for window in chosen))

    def steady(self) -> Latency:
        """Outside of every window."""
        return self._latency(lambda moment: not any(moment in window for window in self.windows))

    def latency(self) -> Latency:
        return self._latency(lambda _moment: True)

    def _latency(self, wanted: Any) -> Latency:
        return latency(sample.seconds for sample in self.samples if sample.kind in QUICK and wanted(sample.due))

    @property
    def lateness(self) -> Latency:
        """How late the requests went out: what the client itself adds to the latencies."""
        return latency(sample.late for sample in self.samples)

    # --- releases

    def releases(self, kinds: Sequence[str] = QUICK) -> list[Seen]:
        """In the order in which they appeared."""
        found: dict[str, Seen] = {}
        for sample in sorted(self.samples, key=lambda sample: sample.due):
            if sample.kind in kinds and sample.release:
                before = found.get(sample.release, Seen(sample.release, sample.due, sample.due, 0))
                found[sample.release] = Seen(sample.release, before.first, sample.due, before.answers + 1)
        return list(found.values())

    def switches(self, kinds: Sequence[str] = QUICK) -> list[Switch]:
        """Each time that another release began to answer. An old release may answer what was asked in that moment."""
        found: list[Switch] = []
        for sample in sorted(self.samples, key=lambda sample: sample.due):
            if sample.kind not in kinds or not sample.release:
                continue
            last = found[-1] if found else None
            if last is None or (sample.release != last.release and sample.release != last.before):
                found.append(Switch(last.release if last else "", sample.release, sample.due, sample.due))
            elif sample.release == last.before:
                if sample.due - last.moment < SETTLED_SECONDS:
                    found[-1] = replace(last, last_before=sample.due)
                else:
                    found.append(Switch(last.release, sample.release, sample.due, sample.due))
        return found[1:]

    def closes(self) -> dict[int, int]:
        """How the WebSockets ended: code -> how many."""
        return dict(Counter(session.code for session in self.sessions))

    # --- for people

    def __str__(self) -> str:
        lines = [f"{self.requests} requests in {self.ended - self.began:.0f} s, {self.connections} connections"]
        lines += [f"  {kind}: {count['sent']} sent, {count['lost']} lost" for kind, count in self.counts().items()]
        if self.sessions:
            lines.append("  WebSockets ended with: " + ", ".join(f"{c} x{n}" for c, n in sorted(self.closes().items())))
        names = dict.fromkeys(window.name for window in self.windows)
        for name, figures in [("steady", self.steady()), *((name, self.window(name)) for name in names)]:
            if figures.count:
                lines.append(f"  {name}: {figures}")
        lines.append(f"  sent late by the client: p99 {self.lateness.p99} ms, most {self.lateness.most} ms")
        for seen in self.releases():
            lines.append(f"  release {seen.release}: {clock(seen.first)} to {clock(seen.last)}, {seen.answers} answers")
        if self.lost:
            lines += [f"  {count} x {reason}" for reason, count in self.reasons().items()]
            lines += [f"  lost: {line}" for line in self.losses(20)]
        return "\n".join(lines)
