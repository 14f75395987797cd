# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Secrets do not leave a probe: neither those that it was given nor those that stand in an address."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit, urlunsplit

MASK = "***"
# Shorter values are no secrets, and masking them would make every sentence unreadable.
SHORTEST = 3
# A value in a query may be a token or a page number: long ones are masked wherever a server repeats them.
SHORTEST_IN_QUERY = 6


def strings(value: Any) -> set[str]:
    """Every text and number in a nested value."""
    if isinstance(value, dict):
        return set().union(*(strings(item) for item in value.values()))
    if isinstance(value, (list, tuple, set)):
        return set().union(*(strings(item) for item in value))
    return {str(value)} if isinstance(value, (str, int, float)) and not isinstance(value, bool) else set()


def redact(value: Any, secrets: Iterable[str]) -> Any:
    """The same value with every secret replaced, longest first so that no tail of one remains."""
    ordered = sorted((secret for secret in set(secrets) if len(secret) >= SHORTEST), key=len, reverse=True)
    return _redact(value, ordered) if ordered else value


def _redact(value: Any, secrets: list[str]) -> Any:
    if isinstance(value, dict):
        return {_redact(key, secrets): _redact(item, secrets) for key, item in value.items()}
    if isinstance(value, list):
        return [_redact(item, secrets) for item in value]
    if isinstance(value, str):
        for secret in secrets:
            value = value.replace(secret, MASK)
    return value


def query_values(url: str) -> set[str]:
    """Values in a URL's query that may be tokens, in plain and in escaped form: a server may repeat either."""
    plain = {value for _key, value in parse_qsl(urlsplit(url).query) if len(value) >= SHORTEST_IN_QUERY}
    return plain | {quote(value) for value in plain}


def shown_url(url: str) -> str:
    """A URL for people: without user information, query values and fragment, which is where tokens stand."""
    parts = urlsplit(url)
    query = "&".join(f"{key}={MASK}" for key, _value in parse_qsl(parts.query, keep_blank_values=True))
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, query, ""))
