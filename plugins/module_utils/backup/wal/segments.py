# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The arithmetic of the write-ahead log: positions, segments, timelines. Pure."""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from ...common.errors import SlipwayError

NAME = re.compile(r"([0-9A-F]{8})([0-9A-F]{8})([0-9A-F]{8})")
HISTORY = re.compile(r"([0-9A-F]{8})\.history")
PARTIAL = ".partial"
LOG_BYTES = 1 << 32
# The long header of a segment's first page: magic, flags, timeline, address, rest, system, segment size, page size.
HEADER = struct.Struct("<HHIQI4xQII")


def parse_lsn(text: str) -> int:
    """A position as PostgreSQL writes it: two hexadecimal halves."""
    high, slash, low = text.partition("/")
    try:
        if not slash:
            raise ValueError
        return (int(high, 16) << 32) | int(low, 16)
    except ValueError:
        raise SlipwayError(f"{text!r} is not a position in the write-ahead log.") from None


def format_lsn(lsn: int) -> str:
    return f"{lsn >> 32:X}/{lsn & (LOG_BYTES - 1):X}"


@dataclass(frozen=True, order=True)
class Segment:
    """One file of the log on one timeline; `number` counts from the log's beginning."""

    timeline: int
    number: int
    size: int

    @classmethod
    def at(cls, timeline: int, lsn: int, size: int) -> Segment:
        """The one that holds the position."""
        return cls(timeline, lsn // size, size)

    @classmethod
    def parse(cls, name: str, size: int) -> Segment | None:
        found = NAME.fullmatch(name)
        if not found:
            return None
        timeline, log, rest = (int(part, 16) for part in found.groups())
        each = LOG_BYTES // size
        return cls(timeline, log * each + rest, size) if rest < each and timeline else None

    @property
    def name(self) -> str:
        log, rest = divmod(self.number, LOG_BYTES // self.size)
        return f"{self.timeline:08X}{log:08X}{rest:08X}"

    @property
    def start(self) -> int:
        return self.number * self.size

    @property
    def end(self) -> int:
        return self.start + self.size


def fault(head: bytes, segment: Segment, system: str) -> str:
    """What is wrong with a segment by its first bytes; empty if they are those of this segment."""
    if len(head) < HEADER.size:
        return "it is too short"
    magic, _flags, timeline, address, _rest, owner, size, _page = HEADER.unpack_from(head)
    if not magic:
        return "it is empty"
    if str(owner) != system:
        return f"it belongs to the database system {owner}"
    # After a switch of timelines the first pages of a segment are copied from the old one and bear its number.
    if address != segment.start or size != segment.size or timeline > segment.timeline:
        return f"it holds position {format_lsn(address)} of timeline {timeline}"
    return ""


@dataclass(frozen=True)
class Stretch:
    """The part of a line of descent that lies on one timeline; `end` is None for the last."""

    timeline: int
    begin: int
    end: int | None


class Descent:
    """A timeline with its ancestors, oldest first: which timeline's file holds which part of the log."""

    def __init__(self, timeline: int, history: str = "") -> None:
        self.timeline = timeline
        switches = parse_history(history)
        order = [*(ancestor for ancestor, _end in switches), timeline]
        if order != sorted(set(order)):
            raise SlipwayError(f"The history of timeline {timeline} is damaged: its timelines are not in order.")
        begin = 0
        self.stretches: list[Stretch] = []
        for ancestor, end in switches:
            self.stretches.append(Stretch(ancestor, begin, end))
            begin = end
        self.stretches.append(Stretch(timeline, begin, None))

    def holds(self, timeline: int, lsn: int) -> bool:
        """Whether this position, reached on that timeline, is in the past of the line."""
        return any(one.timeline == timeline and (one.end is None or lsn <= one.end) for one in self.stretches)

    def segment(self, number: int, size: int) -> Segment:
        """The file of that number. A segment in which a switch lies belongs to the younger timeline."""
        timeline = next(one.timeline for one in reversed(self.stretches) if one.begin // size <= number)
        return Segment(timeline, number, size)


def parse_history(text: str) -> list[tuple[int, int]]:
    """A history file: each ancestor, and the position at which it was left."""
    found = []
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 2 and words[0].isdigit():
            found.append((int(words[0]), parse_lsn(words[1])))
    return found


def missing(wanted: Sequence[Segment], have: set[str]) -> list[str]:
    """The names that are not there, in order."""
    return [one.name for one in wanted if one.name not in have]
