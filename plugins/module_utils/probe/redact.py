# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Secrets do not leave a probe: neither those that it was given nor those that stand in an address."""

from __future__ import annotations

import base64
import functools
import html
import json
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote, quote_plus, unquote, unquote_plus, urlsplit, urlunsplit

MASK = "***"
# Shorter values are no secrets, and masking them would make every sentence unreadable.
SHORTEST = 3
# A value in a query may be a token or a page number: long ones are masked wherever a server repeats them.
SHORTEST_IN_QUERY = 6
# What cannot be read as a URL is not shown: a part of it may be a password.
NO_URL = "(not a URL)"


def strings(value: Any) -> set[str]:
    """Every text and number in a nested value."""
    if isinstance(value, dict):
        return set().union(*(strings(item) for item in value.values()))
    if isinstance(value, (list, tuple, set)):
        return set().union(*(strings(item) for item in value))
    return {str(value)} if isinstance(value, (str, int, float)) and not isinstance(value, bool) else set()


@functools.lru_cache(maxsize=1024)
def forms(secret: str) -> frozenset[str]:
    """The ways in which a server, a library or a report may write the same secret."""
    escaped = {quote(secret), quote(secret, safe=""), quote_plus(secret), html.escape(secret)}
    # As JSON writes it, with and without escapes for what is not ASCII, and as Python shows it.
    quoted = {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], repr(secret)[1:-1]}
    return frozenset({secret, secret.strip(), base64.b64encode(secret.encode()).decode(), *escaped, *quoted})


def redact(value: Any, secrets: Iterable[str]) -> Any:
    """The same value with every secret replaced, longest first so that no tail of one remains."""
    every = {form for secret in set(secrets) if len(secret) >= SHORTEST for form in forms(secret)}
    ordered = sorted((form for form in every if len(form) >= SHORTEST), key=lambda form: (-len(form), form))
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
    """What stands in a URL's query and may be a token, decoded and as it stands there."""
    try:
        query = urlsplit(url).query
    except ValueError:
        return set()
    raw = {_token(word) for word in query.split("&")}
    words = raw | {unquote(word) for word in raw} | {unquote_plus(word) for word in raw}
    return {word for word in words if len(word) >= SHORTEST_IN_QUERY}


def _token(word: str) -> str:
    """The value of `key=value`; a word that stands alone may be a token itself, also with the `=` of base64."""
    key, _equals, value = word.partition("=")
    return value or key


def shown_url(url: str) -> str:
    """A URL for people: without user information, query values and fragment, which is where tokens stand."""
    try:
        parts = urlsplit(url)
        # Read for its error: what is no port may be a password.
        _port = parts.port
    except ValueError:
        return NO_URL
    query = "&".join(_shown_word(word) for word in parts.query.split("&")) if parts.query else ""
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, query, ""))


def _shown_word(word: str) -> str:
    key, equals, value = word.partition("=")
    return f"{key}={MASK}" if value or (equals and len(key) < SHORTEST_IN_QUERY) else MASK
