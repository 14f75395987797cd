# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The services that are probed, in a process of their own: good, slow and hanging ones, and ports that are closed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import sys
from typing import Any

SLOW_SECONDS = 2.0
HOST = "127.0.0.1"
BODY = json.dumps({"status": "ok", "pools": [{"free": 3}]}).encode()
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s"


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, asyncio.IncompleteReadError):
        head = await reader.readuntil(b"\r\n\r\n")
        if b" /slow/" in head:
            await asyncio.sleep(SLOW_SECONDS)
        writer.write(ANSWER % (len(BODY), BODY))
        await writer.drain()
    writer.close()


async def _hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while await reader.read(1024):
            pass
    writer.close()


def _closed_port() -> int:
    with socket.create_server((HOST, 0)) as listener:
        return int(listener.getsockname()[1])


async def serve(good: int, slow: int, hanging: int, refused: int) -> None:
    answering = await asyncio.start_server(_answer, HOST, 0, backlog=512)
    silent = await asyncio.start_server(_hang, HOST, 0, backlog=512)
    port, dead = answering.sockets[0].getsockname()[1], silent.sockets[0].getsockname()[1]
    closed = _closed_port()
    groups = {"good": (good, port), "slow": (slow, port), "hanging": (hanging, dead), "refused": (refused, closed)}
    targets: list[dict[str, Any]] = [
        {"name": f"{kind} {index}", "url": f"http://{HOST}:{where}/{kind}/{index}"}
        for kind, (count, where) in groups.items()
        for index in range(count)
    ]
    # The bad ones among the good ones, as in life: in the same places for everybody.
    targets.sort(key=lambda target: hash_of(target["name"]))
    print(json.dumps(targets), flush=True)
    async with answering, silent:
        await asyncio.gather(answering.serve_forever(), silent.serve_forever())


def hash_of(text: str) -> int:
    return sum(ord(character) * 31**place for place, character in enumerate(text)) % 100_003


if __name__ == "__main__":
    asyncio.run(serve(*(int(word) for word in sys.argv[1:])))
