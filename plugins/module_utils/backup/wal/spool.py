# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The folder on the host in which the receiver writes: one sub-folder a line (database system and timeline)."""

from __future__ import annotations

import re
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from .segments import HISTORY, PARTIAL, Segment

# What was set aside has a suffix: it is shipped, and received into no more.
LINE = re.compile(r"(\d{1,20})-([0-9A-F]{8})(?:\.\d+)?")


@dataclass(frozen=True)
class Line:
    """What was received of one timeline of one database system."""

    path: Path
    system: str
    timeline: int

    @property
    def name(self) -> str:
        return self.path.name

    def segments(self, size: int) -> list[Segment]:
        """The finished ones, in order."""
        found = (Segment.parse(entry.name, size) for entry in self._entries())
        return sorted(one for one in found if one)

    def partial(self, size: int) -> Segment | None:
        """The newest one, which is still being written."""
        names = (entry.name for entry in self._entries() if entry.name.endswith(PARTIAL))
        found = [one for one in (Segment.parse(name.removesuffix(PARTIAL), size) for name in names) if one]
        return max(found, default=None)

    def histories(self) -> list[Path]:
        return sorted(entry for entry in self._entries() if HISTORY.fullmatch(entry.name))

    def file(self, segment: Segment, *, partial: bool = False) -> Path:
        return self.path / (segment.name + (PARTIAL if partial else ""))

    def bytes(self) -> int:
        total = 0
        for entry in self._entries():
            with suppress(FileNotFoundError):
                total += entry.stat().st_size
        return total

    def forget(self, segment: Segment) -> None:
        with suppress(FileNotFoundError):
            self.file(segment).unlink()

    def set_aside(self) -> None:
        """A receiver that starts in an empty folder asks the slot where to begin."""
        number = 1
        while (target := self.path.with_name(f"{self.path.name}.{number}")).exists():
            number += 1
        with suppress(FileNotFoundError):
            self.path.rename(target)

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)

    def _entries(self) -> list[Path]:
        with suppress(FileNotFoundError):
            return list(self.path.iterdir())
        return []


class Spool:
    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def lines(self) -> list[Line]:
        """Oldest timeline first, and what was set aside before what is received now."""
        with suppress(FileNotFoundError):
            found = [(entry, LINE.fullmatch(entry.name)) for entry in self.directory.iterdir() if entry.is_dir()]
            lines = [Line(entry, match.group(1), int(match.group(2), 16)) for entry, match in found if match]
            return sorted(lines, key=lambda one: (one.timeline, "." not in one.name, one.name))
        return []

    def line(self, name: str) -> Line | None:
        match = LINE.fullmatch(name)
        return Line(self.directory / name, match.group(1), int(match.group(2), 16)) if match else None

    def bytes(self) -> int:
        return sum(line.bytes() for line in self.lines())
