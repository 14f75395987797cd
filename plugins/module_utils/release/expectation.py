# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a healthy service answers: a path and the status, headers and body to be seen there. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..common.errors import SlipwayError

KEYS = ("path", "status", "body", "headers")
QUERY_PATH = re.compile(r"/[A-Za-z0-9._~!&*+,;=:@%/?-]*")
STATUS = re.compile(r"[1-5](?:\d\d|xx)")
HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
GOOD = ("2xx", "3xx")
SHOWN = 300


@dataclass(frozen=True)
class Expectation:
    """The health of a route, as somebody described it."""

    path: str = "/"
    status: tuple[str, ...] = GOOD
    body: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)

    def complaint(self, status: int, headers: Mapping[str, str], body: str) -> str:
        """What is wrong with an answer, in words; empty if nothing is. Names of `headers` are in lower case."""
        if not status:
            return "no answer"
        if not {str(status), f"{status // 100}xx"} & set(self.status):
            return f"status {status} instead of {' or '.join(self.status)}"
        for name, pattern in self.headers.items():
            value = headers.get(name.lower())
            if value is None:
                return f"status {status}, but the header {name} is missing"
            if not re.search(pattern, value):
                return f"status {status}, but the header {name} is {value!r}, which does not match {pattern!r}"
        if self.body and not re.search(self.body, body):
            return f"status {status}, but the body does not match {self.body!r}"
        return ""

    def __str__(self) -> str:
        wanted = [f"a status of {' or '.join(self.status)}"]
        wanted += [f"a header {name} that matches {pattern!r}" for name, pattern in self.headers.items()]
        wanted += [f"a body that matches {self.body!r}"] if self.body else []
        return f"{self.path} has to answer with {', '.join(wanted)}."


def parse(what: str, given: Any) -> Expectation:
    """A path, or a mapping with `path`, `status`, `body` and `headers`."""
    if not isinstance(given, Mapping):
        return Expectation(path=_path(what, given or "/"))
    unknown = sorted(set(given) - set(KEYS))
    if unknown:
        raise SlipwayError(f"The {what} has the unknown key {unknown[0]!r}.", hint=f"Known keys: {', '.join(KEYS)}.")
    headers = given.get("headers") or {}
    if not isinstance(headers, Mapping):
        raise SlipwayError(f"The headers of the {what} are not a dictionary.", hint="Write NAME: regular expression.")
    for name in headers:
        if not HEADER.fullmatch(str(name)):
            raise SlipwayError(f"{name!r} in the {what} is not the name of a header.", hint="For example X-Release.")
    return Expectation(
        path=_path(what, given.get("path") or "/"),
        status=_status(what, given.get("status")),
        body=_pattern(f"body of the {what}", given.get("body") or ""),
        headers={str(name): _pattern(f"header {name} of the {what}", headers[name]) for name in headers},
    )


def plain(wanted: Expectation) -> str | dict[str, Any]:
    """As it is written: the path alone where nothing else is asked for."""
    if wanted == Expectation(wanted.path):
        return wanted.path
    return {
        "path": wanted.path,
        "status": list(wanted.status),
        "body": wanted.body,
        "headers": dict(wanted.headers),
    }


def excerpt(body: str) -> str:
    """The beginning of a body, on one line."""
    return " ".join(body.split())[:SHOWN]


def _path(what: str, value: Any) -> str:
    text = str(value)
    if not QUERY_PATH.fullmatch(text):
        raise SlipwayError(
            f"The {what} is {text!r}, which is not a path.", hint="Start it with / and leave out spaces."
        )
    return text


def _status(what: str, given: Any) -> tuple[str, ...]:
    if given is None or given == []:
        return GOOD
    words = tuple(str(word) for word in (given if isinstance(given, (list, tuple)) else [given]))
    for word in words:
        if not STATUS.fullmatch(word):
            raise SlipwayError(
                f"{word!r} in the {what} is not a status code.", hint="Write a list such as [200, 204], or [2xx]."
            )
    return words


def _pattern(what: str, given: Any) -> str:
    text = str(given)
    try:
        re.compile(text)
    except re.error as error:
        raise SlipwayError(
            f"The {what} is {text!r}, which is not a regular expression: {error}.",
            hint="Put a backslash before characters that are meant as they are, such as ( and [.",
        ) from error
    return text
