# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Progress of long work, as JSON lines: one writer, any number of readers."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from .errors import SlipwayError

Sink = Callable[[dict[str, Any]], None]


class Emitter:
    """Tells each phase's start and end, keeps their durations, and hands every event to its sinks."""

    def __init__(self, *sinks: Sink) -> None:
        self._sinks = sinks
        self.phases: list[dict[str, Any]] = []

    @classmethod
    def null(cls) -> Emitter:
        return cls()

    def emit(self, event: str, **fields: Any) -> None:
        record = {"time": round(time.time(), 3), "event": event, **fields}
        for sink in self._sinks:
            sink(record)

    def info(self, message: str) -> None:
        self.emit("info", message=message)

    def percent(self, phase: str, value: float, message: str = "") -> None:
        self.emit("percent", phase=phase, percent=round(value, 1), message=message)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        started = time.monotonic()
        self.emit("start", phase=name)
        try:
            yield
        except BaseException as error:
            if isinstance(error, SlipwayError) and not error.phase:
                error.phase = name
            self._end(name, started, "failed", str(error))
            raise
        self._end(name, started, "done", "")

    def _end(self, name: str, started: float, result: str, message: str) -> None:
        seconds = round(time.monotonic() - started, 2)
        self.phases.append({"name": name, "seconds": seconds, "result": result})
        self.emit(result, phase=name, seconds=seconds, message=message)


def line(event: dict[str, Any]) -> str:
    """One JSON line, for a file or the journal."""
    return json.dumps(event, sort_keys=True, default=str)


def sentence(event: dict[str, Any]) -> str:
    """The event as people read it."""
    kind = event.get("event", "info")
    phase = str(event.get("phase", ""))
    message = str(event.get("message", ""))
    if kind == "start":
        return f"{phase} ..."
    if kind == "percent":
        return f"{phase} {event.get('percent', 0):g} % {message}".rstrip()
    if kind in ("done", "failed"):
        return f"{phase} {kind} in {event.get('seconds', 0):.1f} s {message}".rstrip()
    return message
