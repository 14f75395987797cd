# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
import hashlib
import http.client
import os
from typing import ClassVar
from urllib.parse import urlsplit

from ...common.errors import SlipwayError
from .. import secure
from ..context import Context
from ..option import Option
from ..redact import shown_url
from ..result import Outcome, fail, ok
from .base import ProbeType
from .http import SECRET_HEADER, parsed, request_path

# The constant that RFC 6455 has the server hash together with the client's key.
MAGIC: str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
SWITCHING_PROTOCOLS = 101


class Websocket(ProbeType):
    name = "websocket"
    summary = "A server completes the WebSocket handshake (RFC 6455)."
    target = "a ws:// or wss:// URL without user information."
    ports: ClassVar[dict[str, int]] = {"ws": 80, "wss": 443}
    options: ClassVar[dict[str, Option]] = {
        "headers": Option("dict", "Request headers. Those that carry secrets belong into O(probes[].secret_headers)."),
        "secret_headers": Option("dict", "Request headers whose values are masked everywhere.", secret=True),
        **secure.OPTIONS,
    }

    def check(self) -> None:
        url = parsed(self.probe.target)
        if url.scheme not in self.ports or not url.hostname or url.username is not None:
            raise SlipwayError(f"The target is not {self.target}")
        for header in self.option("headers") or {}:
            if SECRET_HEADER.search(header):
                raise SlipwayError(f"The header {header} may hold a secret.", hint="Write it under secret_headers.")

    def shown_target(self) -> str:
        return shown_url(self.probe.target)

    def expected(self) -> str:
        return "HTTP 101 and a right answer to the handshake"

    def run(self, context: Context) -> Outcome:
        url = urlsplit(self.probe.target)
        host = url.hostname or ""
        connection = context.connect(self.option("address") or host, url.port or self.ports[url.scheme])
        if url.scheme == "wss":
            connection = secure.handshake(context, connection, host, self.option("ca_file"), self.option("verify"))
        client = http.client.HTTPConnection(url.netloc)
        client.sock = connection
        key = base64.b64encode(os.urandom(16)).decode()
        client.request("GET", request_path(url), headers=self._headers(key))
        response = client.getresponse()
        if response.status != SWITCHING_PROTOCOLS:
            return fail(
                f"HTTP {response.status} instead of 101 Switching Protocols",
                "Set websocket: true on the route, and check the path.",
                status=response.status,
            )
        if response.headers.get("Sec-WebSocket-Accept") != expected_accept(key):
            return fail(
                "the server's answer to the handshake is wrong",
                "Is it a WebSocket server, or a proxy that replays answers?",
            )
        return ok("handshake completed", status=response.status)

    def _headers(self, key: str) -> dict[str, str]:
        own = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": key}
        asked = {**(self.option("headers") or {}), **(self.option("secret_headers") or {})}
        return {**own, **{name: str(value) for name, value in asked.items()}}


def expected_accept(key: str) -> str:
    return base64.b64encode(hashlib.sha1((key + MAGIC).encode(), usedforsecurity=False).digest()).decode()
