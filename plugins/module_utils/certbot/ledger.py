# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What was asked of which authority, and what became of it: two lines for each order, in one file for each week.

The first line is written before the authority is asked, so a run that is killed is counted as if it had succeeded.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ..common.files import append_line

# Limits look back a week, which is in this file and the one before.
KEPT_FILES = 2


@dataclass
class Entry:
    """One order."""

    at: float
    domains: frozenset[str]
    renewal: bool = False
    issued: bool = True
    # False if certbot did not get as far as asking
    asked: bool = True
    failed: tuple[str, ...] = ()
    retry_at: float = 0.0


class Ledger:
    """The orders at one authority."""

    def __init__(self, directory: str, server: str) -> None:
        self.directory = Path(directory)
        self.server = server

    def entries(self) -> list[Entry]:
        found: dict[str, Entry] = {}
        for line in self._lines():
            if "domains" in line:
                if line["server"] == self.server:
                    found[line["id"]] = Entry(line["at"], frozenset(line["domains"]), line["renewal"])
            elif line["id"] in found:
                entry = found[line["id"]]
                entry.issued, entry.asked = line["issued"], line["asked"]
                entry.failed, entry.retry_at = tuple(line["failed"]), line["retry_at"]
        return list(found.values())

    def open(self, name: str, domains: Iterable[str], renewal: bool, now: float) -> str:
        """Note that a certificate is about to be asked for."""
        identity = uuid.uuid4().hex
        names = sorted(domains)
        self._append(
            now,
            {"id": identity, "at": now, "server": self.server, "name": name, "domains": names, "renewal": renewal},
        )
        return identity

    def close(self, identity: str, now: float, entry: Entry) -> None:
        """Note what became of it."""
        ended = {"issued": entry.issued, "asked": entry.asked, "failed": list(entry.failed), "retry_at": entry.retry_at}
        self._append(now, {"id": identity, "at": now, **ended})

    def _append(self, now: float, line: dict[str, Any]) -> None:
        year, week, _day = datetime.fromtimestamp(now, timezone.utc).isocalendar()
        path = self.directory / f"{year}-W{week:02}.jsonl"
        if not path.exists():
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            for old in sorted(self.directory.glob("*-W*.jsonl"))[: 1 - KEPT_FILES]:
                old.unlink(missing_ok=True)
        append_line(path, json.dumps(line, sort_keys=True), 0o600)

    def _lines(self) -> Iterator[dict[str, Any]]:
        for path in sorted(self.directory.glob("*-W*.jsonl")):
            for text in path.read_text(encoding="utf-8").splitlines():
                try:
                    yield json.loads(text)
                except ValueError:  # cut off by a power loss
                    continue
