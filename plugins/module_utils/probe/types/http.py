# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
import http.client
import json
import re
from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from ...common.errors import SlipwayError
from .. import secure
from ..context import Context
from ..jsonpath import lookup
from ..option import Option
from ..redact import redact, shown_url
from ..result import Outcome, fail, ok
from .base import ProbeType, pattern_of

BODY_LIMIT = 1 << 20
REDIRECTS = (301, 302, 303, 307, 308)
STATUS = re.compile(r"[1-5](?:\d\d|xx)")
SECRET_HEADER = re.compile(
    r"authoriz|auth(?!or)|cookie|token|secret|passw|api-?key|access-?key|session|signature|credential", re.IGNORECASE
)


@dataclass(frozen=True)
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def text(self) -> str:
        return self.body.decode("utf-8", "replace")


class Http(ProbeType):
    name = "http"
    summary = "A URL answers with the expected status, headers and body."
    target = "an http:// or https:// URL without user information."
    options: ClassVar[dict[str, Option]] = {
        "method": Option("str", "Request method.", default="GET"),
        "headers": Option("dict", "Request headers. Those that carry secrets belong into O(probes[].secret_headers)."),
        "secret_headers": Option("dict", "Request headers whose values are masked everywhere.", secret=True),
        "username": Option("str", "User name for basic authentication."),
        "password": Option("str", "Password.", secret=True),
        "body": Option("str", "Request body.", secret=True),
        "status": Option(
            "list", "Accepted status codes, as numbers or classes such as V(2xx).", default=["2xx"], elements="str"
        ),
        "body_matches": Option("str", "Regular expression that the response body must match."),
        "header_matches": Option("dict", "Response header names with the regular expression that each must match."),
        "json": Option(
            "dict",
            "Dotted paths into the JSON body with the value each must have. Keys are joined by dots and list items are "
            "numbers, as in V(data.items.0.id); a key that holds a dot cannot be addressed.",
        ),
        "redirects": Option("int", "How many redirects to follow.", default=0, minimum=0),
        **secure.OPTIONS,
    }

    def check(self) -> None:
        url = parsed(self.probe.target)
        if url.scheme not in ("http", "https") or not url.hostname:
            raise SlipwayError("The target is not an http:// or https:// URL.", hint=f"Type http expects {self.target}")
        if url.username is not None or url.password is not None:
            raise SlipwayError(
                "The target holds a user name or a password.", hint="Use the options username and password."
            )
        for header in self.option("headers") or {}:
            if SECRET_HEADER.search(header):
                raise SlipwayError(f"The header {header} may hold a secret.", hint="Write it under secret_headers.")
        for word in self.option("status"):
            if not STATUS.fullmatch(word):
                raise SlipwayError(f"{word!r} is not a status code.", hint="Write 200, or a class such as 2xx.")
        for pattern in [self.option("body_matches") or "", *(self.option("header_matches") or {}).values()]:
            pattern_of(pattern)

    @classmethod
    def derived_secrets(cls, options: dict[str, Any]) -> set[str]:
        return {_basic(options["username"], options["password"])} if options["username"] else set()

    def shown_target(self) -> str:
        return shown_url(self.probe.target)

    def expected(self) -> str:
        body = f"body matching {self.option('body_matches')}" if self.option("body_matches") else ""
        headers = [f"{name} matching {pattern}" for name, pattern in (self.option("header_matches") or {}).items()]
        values = [f"{path} = {self._shown(value)}" for path, value in (self.option("json") or {}).items()]
        return ", ".join(["HTTP " + " or ".join(self.option("status")), *headers, *([body] if body else []), *values])

    def run(self, context: Context) -> Outcome:
        url, host = self.probe.target, urlsplit(self.probe.target).netloc
        for _hop in range(self.option("redirects") + 1):
            answer = self._ask(context, urlsplit(url), host)
            location = answer.headers.get("Location")
            if answer.status not in REDIRECTS or not location or not self.option("redirects"):
                return self._judge(answer)
            url = _joined(url, location)
        return fail(
            f"more than {self.option('redirects')} redirects, the last one to {shown_url(url)}",
            "Raise redirects, or look for a loop.",
        )

    def _ask(self, context: Context, url: SplitResult, first_host: str) -> Answer:
        """One request over one connection."""
        if url.scheme not in ("http", "https") or not url.hostname:
            raise SlipwayError(f"redirected to {url.scheme}:, which is not HTTP")
        port = url.port or (443 if url.scheme == "https" else 80)
        # `address` stands for the first host only: a redirect to another site goes to that site.
        same = url.netloc == first_host or url.hostname == urlsplit(self.probe.target).hostname
        connection = context.connect((self.option("address") if same else None) or url.hostname, port)
        if url.scheme == "https":
            connection = secure.handshake(
                context, connection, url.hostname, self.option("ca_file"), self.option("verify")
            )
        client = http.client.HTTPConnection(url.netloc)
        client.sock = connection
        path = request_path(url)
        client.request(self.option("method"), path, body=self.option("body"), headers=self._headers(same))
        response = client.getresponse()
        return Answer(response.status, response.headers, response.read(BODY_LIMIT))

    def _headers(self, same_site: bool) -> dict[str, str]:
        """Secrets are not carried to another site by a redirect."""
        headers = {
            "User-Agent": "slipway-probe",
            "Accept": "*/*",
            "Connection": "close",
            **(self.option("headers") or {}),
        }
        if same_site:
            headers.update(self.option("secret_headers") or {})
            if self.option("username"):
                headers["Authorization"] = "Basic " + _basic(self.option("username"), self.option("password"))
        return {key: str(value) for key, value in headers.items()}

    def _judge(self, answer: Answer) -> Outcome:
        observed: dict[str, Any] = {"status": answer.status}
        if location := answer.headers.get("Location"):
            observed["location"] = shown_url(location)
        problem = self._status(answer) or self._response_headers(answer) or self._body(answer) or self._json(answer)
        if problem is None:
            return ok(f"HTTP {answer.status}", **observed)
        observed["body"] = self.excerpt(answer.text())
        return fail(problem, self._hint(answer.status), **observed)

    def _status(self, answer: Answer) -> str | None:
        accepted = self.option("status")
        if any(word in (str(answer.status), f"{answer.status // 100}xx") for word in accepted):
            return None
        return f"HTTP {answer.status} instead of {' or '.join(accepted)}"

    def _hint(self, status: int) -> str:
        if status in (502, 503, 504):
            return "Nginx does not reach the application: slipway status, docker ps, and the container's log."
        return "Look at the application's log."

    def _response_headers(self, answer: Answer) -> str | None:
        for header, pattern in (self.option("header_matches") or {}).items():
            value = answer.headers.get(header)
            if value is None or not re.search(pattern, value):
                return f"the header {header} does not match {pattern!r}"
        return None

    def _body(self, answer: Answer) -> str | None:
        pattern = self.option("body_matches")
        if not pattern or re.search(pattern, answer.text()):
            return None
        return f"the body does not match {pattern!r}"

    def _json(self, answer: Answer) -> str | None:
        expected = self.option("json") or {}
        if not expected:
            return None
        try:
            document = json.loads(answer.body)
        except (ValueError, RecursionError):
            return "the body is not JSON"
        for path, value in expected.items():
            try:
                seen = lookup(document, path)
            except LookupError as error:
                return f"the JSON body has no {path} (missing: {error})"
            if seen != value:
                return f"{path} is {self._shown(seen)} instead of {self._shown(value)}"
        return None

    def _shown(self, value: Any) -> str:
        return self.excerpt(json.dumps(redact(value, self.probe.secrets)))


def parsed(url: str) -> SplitResult:
    """The parts of a URL whose host and port can be read."""
    try:
        parts = urlsplit(url)
        _read = parts.hostname, parts.port
    except ValueError:
        # What is wrong with it is not repeated: a part of it may be a password.
        raise SlipwayError(
            "The host or the port of the URL cannot be read.",
            hint="Write an IPv6 address in brackets, and a port from 1 to 65535: http://[::1]:8080/.",
        ) from None
    return parts


def _joined(url: str, location: str) -> str:
    try:
        return parsed(urljoin(url, location)).geturl()
    except (SlipwayError, ValueError):
        raise SlipwayError("redirected to what is not a URL", hint="Look at the application's log.") from None


def _basic(username: str, password: str | None) -> str:
    return base64.b64encode(f"{username}:{password or ''}".encode()).decode()


def request_path(url: SplitResult) -> str:
    """Path and query as they go into the request; what is not allowed there is escaped, not refused with the text."""
    return quote(f"{url.path or '/'}{'?' + url.query if url.query else ''}", safe="/%:=&?~+!$,;'@()*[]")
