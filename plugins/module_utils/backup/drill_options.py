# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a drill is made: the team's check queries, the image and the limits of the throw-away server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from ..common.errors import SlipwayError

GIB = 1024 * 1024 * 1024
LEAST_MEMORY = 256 * 1024 * 1024


@dataclass(frozen=True)
class Query:
    """A statement that has one value, and which."""

    name: str
    query: str
    expected: Any = True

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Query:
        unknown = set(data) - {"name", "query", "expected"}
        if unknown or not data.get("name") or not data.get("query"):
            raise SlipwayError(
                f"The check query {data.get('name') or data} has not a name and a query"
                + (f", and {', '.join(sorted(unknown))} means nothing." if unknown else "."),
                hint="Write backup_drill_queries as a list of {name, query, expected}.",
            )
        return cls(str(data["name"]), str(data["query"]), data.get("expected", True))

    def meets(self, value: Any) -> bool:
        """Compared as people write them: 10 is 10.00, and `true` is true."""
        if isinstance(value, bool) or isinstance(self.expected, bool):
            return str(value).lower() == str(self.expected).lower()
        if value is None or self.expected is None:
            return value is self.expected
        try:
            return Decimal(str(value)) == Decimal(str(self.expected))
        except InvalidOperation:
            return str(value) == str(self.expected)


@dataclass(frozen=True)
class DrillOptions:
    """`kinds` empty means every kind that a drill knows."""

    image: str = ""
    memory_bytes: int = GIB
    query_seconds: int = 60
    queries: tuple[Query, ...] = ()
    kinds: tuple[str, ...] = ()

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> DrillOptions:
        options = cls(
            image=str(data.get("image") or ""),
            memory_bytes=int(data.get("memory_bytes") or GIB),
            query_seconds=int(data.get("query_seconds") or 60),
            queries=tuple(Query.from_dict(one) for one in data.get("queries") or ()),
            kinds=tuple(data.get("kinds") or ()),
        )
        if options.memory_bytes < LEAST_MEMORY:
            raise SlipwayError(
                f"The drill's server cannot run in {options.memory_bytes} bytes of memory.",
                hint=f"Set backup_drill_memory_bytes to at least {LEAST_MEMORY}.",
            )
        return options
