# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What of the log is in the bucket without a gap: kept on the host, so that each segment is shipped once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...common.files import read_json, write_json
from .segments import Segment

STATE = "shipped.json"


class Chain:
    """For each line its first and last shipped segment; between them nothing is missing."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / STATE
        try:
            found = read_json(self._path, {})
        except ValueError:
            found = {}
        self._lines: dict[str, Any] = dict(found.get("lines") or {}) if isinstance(found, dict) else {}
        self.segment_bytes = int(found.get("segment_bytes") or 0) if isinstance(found, dict) else 0

    def shipped(self, line: str, segment: Segment) -> bool:
        known = self._lines.get(line)
        return known is not None and segment.number <= known["last"]

    def first(self, line: str) -> int | None:
        known = self._lines.get(line)
        return known["first"] if known else None

    def cut(self, line: str) -> None:
        """What follows may not follow at once: it begins anew, though what was shipped stays known."""
        if line in self._lines:
            self._lines[line]["first"] = None
            self._save()

    def add(self, line: str, segment: Segment) -> bool:
        """Durably; returns whether something is missing before it."""
        known = self._lines.get(line)
        gap = known is not None and segment.number > known["last"] + 1
        first = segment.number if known is None or gap or known["first"] is None else known["first"]
        self._lines[line] = {"first": first, "last": segment.number}
        self._save()
        return gap

    def size(self, segment_bytes: int) -> None:
        """Remembered, so that what waits can be shipped while the server is away."""
        if segment_bytes != self.segment_bytes:
            self.segment_bytes = segment_bytes
            self._save()

    def _save(self) -> None:
        write_json(self._path, {"lines": self._lines, "segment_bytes": self.segment_bytes})
