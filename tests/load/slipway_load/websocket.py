# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A visitor's WebSocket (RFC 6455, the part that a client needs)."""

from __future__ import annotations

import base64
import json
import os
import struct
import time
from typing import NoReturn

from .http import BadAnswer, Connection, Pool

CLOSE, PING = 0x8, 0x9
NORMAL = 1000


class Closed(Exception):
    """The server closed it, in words."""

    def __init__(self, code: int) -> None:
        super().__init__(f"closed with {code}")
        self.code = code


class WebSocket:
    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.release = ""
        self.heard = time.monotonic()

    @classmethod
    async def open(cls, pool: Pool, host: str, path: str = "/ws") -> WebSocket:
        """Shake hands and hear the greeting, which names the release."""
        connection = await pool.open(host)
        self = cls(connection)
        try:
            key = base64.b64encode(os.urandom(16)).decode()
            connection.writer.write(
                f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
            )
            status, _headers = await connection.read_head()
            if status != 101:
                raise BadAnswer(f"status {status}")
            self.release = str(json.loads((await self.receive())[1])["release"])
        except BaseException:
            connection.close()
            raise
        return self

    async def receive(self) -> tuple[int, bytes]:
        """The next frame; a close is answered and raised."""
        first, second = await self.connection.reader.readexactly(2)
        length = second & 0x7F
        if length == 126:
            length = struct.unpack(">H", await self.connection.reader.readexactly(2))[0]
        elif length == 127:
            length = struct.unpack(">Q", await self.connection.reader.readexactly(8))[0]
        payload = await self.connection.reader.readexactly(length)
        if first & 0x0F == CLOSE:
            self.send(CLOSE, payload[:2])
            raise Closed(struct.unpack(">H", payload[:2])[0] if len(payload) >= 2 else 1005)
        return first & 0x0F, payload

    def send(self, opcode: int, payload: bytes = b"") -> None:
        mask = os.urandom(4)
        masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
        self.connection.writer.write(bytes([0x80 | opcode, 0x80 | len(payload)]) + mask + masked)

    async def listen(self) -> NoReturn:
        """Hear pongs and whatever else comes, until the server closes."""
        while True:
            await self.receive()
            self.heard = time.monotonic()

    async def leave(self) -> None:
        self.send(CLOSE, struct.pack(">H", NORMAL))
        await self.connection.writer.drain()
        self.connection.close()
