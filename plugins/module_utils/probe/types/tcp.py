# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re
import socket
from typing import ClassVar

from .. import address
from ..context import Context
from ..option import Option
from ..result import Outcome, fail, ok
from .base import ProbeType, pattern_of

BANNER_BYTES = 4096


class Tcp(ProbeType):
    name = "tcp"
    summary = "A TCP port accepts connections, or is closed as it should be."
    target = "host:port."
    options: ClassVar[dict[str, Option]] = {
        "open": Option(
            "bool",
            "Whether the port should accept connections; V(false) proves that it is not reachable.",
            default=True,
        ),
        "banner": Option("str", "Regular expression that the first line sent by the server must match."),
    }

    def check(self) -> None:
        address.split(self.probe.target)
        pattern_of(self.option("banner") or "")

    def expected(self) -> str:
        if not self.option("open"):
            return "closed"
        return f"greeting matching {self.option('banner')}" if self.option("banner") else "accepts connections"

    def run(self, context: Context) -> Outcome:
        host, port = address.split(self.probe.target)
        if not self.option("open"):
            return self._closed(context, host, port)
        connection = context.connect(host, port)
        if not self.option("banner"):
            return ok("accepts connections")
        line = self._first_line(connection)
        if re.search(self.option("banner"), line):
            return ok("accepts connections and greets as expected", banner=line)
        return fail(
            "the greeting does not match the expected pattern", "Is it another service on this port?", banner=line
        )

    def _closed(self, context: Context, host: str, port: int) -> Outcome:
        try:
            context.connect(host, port)
        except (ConnectionError, TimeoutError):
            return ok("not reachable, as it should be")
        return fail(
            "reachable, but it should be closed", "Check the firewall and the published ports: slipway.vps.hardening."
        )

    def _first_line(self, connection: socket.socket) -> str:
        reader = connection.makefile("rb")
        with reader:
            return reader.readline(BANNER_BYTES).decode("utf-8", "replace").strip()
