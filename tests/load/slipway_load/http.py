# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""HTTP/1.1 over TLS: connections that are kept as browsers keep them, and not one request sent twice."""

from __future__ import annotations

import asyncio
import ssl
from collections import defaultdict
from dataclasses import dataclass

from .settings import Settings, Target

MAX_HEAD = 64 * 1024


class BadAnswer(Exception):
    """An answer that is none."""


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def release(self) -> str:
        return self.headers.get("x-release", "")


class Connection:
    """One TLS connection to the server, for one host name."""

    def __init__(self, host: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.host = host
        self.reader = reader
        self.writer = writer

    @property
    def usable(self) -> bool:
        """A browser does not use a connection that it has seen closed."""
        return not (self.reader.at_eof() or self.writer.is_closing() or self.reader.exception())

    async def ask(self, target: Target, body: bytes, *, close: bool) -> tuple[Answer, bool]:
        """The answer, and whether the connection may be used again."""
        lines = [
            f"{target.method} {target.path} HTTP/1.1",
            f"Host: {target.host}",
            "User-Agent: slipway-load",
            f"Connection: {'close' if close else 'keep-alive'}",
        ]
        if target.method != "GET":
            lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        self.writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        answer = await self.read()
        return answer, not close and answer.headers.get("connection", "").lower() != "close"

    async def read(self) -> Answer:
        status, headers = await self.read_head()
        if "chunked" in headers.get("transfer-encoding", ""):
            return Answer(status, headers, await self._chunks())
        if "content-length" not in headers:
            raise BadAnswer(f"status {status} without a length")
        return Answer(status, headers, await self.reader.readexactly(int(headers["content-length"])))

    async def read_head(self) -> tuple[int, dict[str, str]]:
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *rest = head.rstrip("\r\n").split("\r\n")
        words = first.split(" ", 2)
        if len(words) < 2 or not words[1].isdigit():
            raise BadAnswer(f"no HTTP answer: {first[:80]!r}")
        pairs = (line.partition(":") for line in rest)
        return int(words[1]), {name.strip().lower(): value.strip() for name, _colon, value in pairs}

    async def _chunks(self) -> bytes:
        parts = []
        while True:
            size = int((await self.reader.readline()).split(b";")[0], 16)
            parts.append(await self.reader.readexactly(size))
            await self.reader.readexactly(2)
            if size == 0:
                return b"".join(parts)

    def close(self) -> None:
        self.writer.close()


class Pool:
    """Idle connections by host; the one used last is taken first."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.context = ssl.create_default_context(cafile=settings.ca)
        self.context.set_alpn_protocols(["http/1.1"])
        self.idle: dict[str, list[Connection]] = defaultdict(list)
        self.opened = 0

    async def open(self, host: str) -> Connection:
        self.opened += 1
        reader, writer = await asyncio.open_connection(
            self.settings.address, self.settings.port, ssl=self.context, server_hostname=host, limit=MAX_HEAD
        )
        return Connection(host, reader, writer)

    async def take(self, host: str) -> Connection:
        kept = self.idle[host]
        while kept:
            connection = kept.pop()
            if connection.usable:
                return connection
            connection.close()
        return await self.open(host)

    def give_back(self, connection: Connection) -> None:
        self.idle[connection.host].append(connection)

    def close(self) -> None:
        for kept in self.idle.values():
            for connection in kept:
                connection.close()

    async def request(self, target: Target, body: bytes = b"", *, fresh: bool = False) -> Answer:
        connection = await (self.open(target.host) if fresh else self.take(target.host))
        try:
            answer, again = await connection.ask(target, body, close=fresh)
        except BaseException:
            connection.close()
            raise
        if again:
            self.give_back(connection)
        else:
            connection.close()
        return answer
