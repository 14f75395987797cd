# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`slipway logs`: the lines of all containers of a stack in the order in which they were written."""

from __future__ import annotations

import calendar
import queue
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone

from ..common.errors import SlipwayError
from ..release.daemon import Container
from ..release.host import Host
from . import selection

AGO = re.compile(r"(\d+)([smhd])")
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
LOOK_AGAIN_SECONDS = 1.0


@dataclass(frozen=True, order=True)
class Line:
    """One line; lines sort by their moment (RFC 3339, always UTC with the same number of digits)."""

    moment: str
    label: str
    text: str
    source: str = ""  # id of the container


@dataclass(frozen=True)
class Wish:
    """Which lines."""

    lines: int = 100
    since: int | None = None
    pattern: re.Pattern[str] | None = None

    def wants(self, line: Line) -> bool:
        return self.pattern is None or bool(self.pattern.search(line.text))


def since(text: str, now: float) -> int:
    """A moment: `15m` ago, or ISO 8601."""
    ago = AGO.fullmatch(text)
    if ago:
        return int(now) - int(ago.group(1)) * SECONDS[ago.group(2)]
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        raise SlipwayError(
            f"{text!r} is not a moment.", hint="Write it like 30s, 15m, 2h, 1d or 2026-11-21T05:00:00Z."
        ) from None
    return calendar.timegm(moment.astimezone(timezone.utc).timetuple())


def pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise SlipwayError(
            f"{text!r} is not a regular expression ({error}).", hint="Put a backslash before signs that are meant."
        ) from None


def split(chunks: Iterable[bytes], label: str, source: str = "") -> Iterator[Line]:
    """Lines out of what the Engine sends, which cuts anywhere."""
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        for raw in whole:
            yield _line(raw, label, source)
    if rest:
        yield _line(rest, label, source)


def _line(raw: bytes, label: str, source: str) -> Line:
    moment, _space, text = raw.decode(errors="replace").partition(" ")
    return Line(moment, label, text.rstrip("\r"), source)


def recent(host: Host, entries: Iterable[Container], wish: Wish) -> list[Line]:
    """The newest lines of all containers together, oldest first."""
    found: list[Line] = []
    for entry in entries:
        # What is not wanted has to be read to be left out; otherwise no container needs more than the whole may have.
        tail = wish.lines if wish.pattern is None else None
        chunks = host.daemon.log_stream(entry.id, since=wish.since, tail=tail)
        label = selection.label(entry, host.paths.stack)
        found += deque((line for line in split(chunks, label, entry.id) if wish.wants(line)), maxlen=wish.lines)
    return sorted(found)[-wish.lines :] if wish.lines else []


class Follower:
    """New lines as they come, also from containers that come later: it goes with the traffic to the next release."""

    def __init__(self, host: Host, choice: selection.Choice, wish: Wish) -> None:
        self._host = host
        self._choice = choice
        self._wish = wish
        self._lines: queue.Queue[Line] = queue.Queue()
        self._readers: dict[str, threading.Thread] = {}
        self._told: dict[str, str] = {}  # container -> moment of its newest line

    def run(self, say: Callable[[Line], None]) -> None:
        """Until interrupted; a slot that was asked for ends when its last container does."""
        start = int(time.time())
        entries = selection.containers(self._host, self._choice)
        for line in recent(self._host, entries, self._wish):
            self._tell(line, say)
        while True:
            self._attend(start)
            over = self._choice.is_fixed and not any(reader.is_alive() for reader in self._readers.values())
            deadline = time.monotonic() + LOOK_AGAIN_SECONDS
            while not over or not self._lines.empty():
                try:
                    line = self._lines.get(timeout=max(0.0, deadline - time.monotonic()))
                except queue.Empty:
                    break
                self._tell(line, say)
            if over:
                return

    def _tell(self, line: Line, say: Callable[[Line], None]) -> None:
        """Each line once: reading begins at a full second, and again when a container was restarted."""
        if line.moment > self._told.get(line.source, ""):
            self._told[line.source] = line.moment
            say(line)

    def _attend(self, start: int) -> None:
        """A reader for each container that runs and has none."""
        try:
            entries = selection.containers(self._host, self._choice)
        except SlipwayError:
            return  # between two releases a service may have no container for a moment
        for entry in entries:
            reader = self._readers.get(entry.id)
            if entry.running and not (reader and reader.is_alive()):
                self._readers[entry.id] = threading.Thread(target=self._read, args=(entry, start), daemon=True)
                self._readers[entry.id].start()

    def _read(self, entry: Container, start: int) -> None:
        chunks = self._host.daemon.log_stream(entry.id, since=start, follow=True)
        for line in split(chunks, selection.label(entry, self._host.paths.stack), entry.id):
            if self._wish.wants(line):
                self._lines.put(line)


def text(line: Line, width: int, *, with_moment: bool) -> str:
    moment = f"{line.moment[:23]}Z " if with_moment else ""
    return f"{moment}{line.label.ljust(width)} | {line.text}"
