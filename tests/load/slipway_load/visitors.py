# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The visitors themselves: every request at its time, and what became of it."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import astuple
from typing import Any

from .http import BadAnswer, Pool
from .report import Sample, Session
from .settings import GOOD, GOOD_CLOSES, Settings, Target
from .websocket import NORMAL, PING, Closed, WebSocket

# A client that was sent away comes back after a moment of its own choice, so that not all come at once.
COME_BACK_SECONDS = 0.2


def why(error: BaseException) -> str:
    """One phrase for the report."""
    if isinstance(error, TimeoutError):
        return "time-out"
    if isinstance(error, asyncio.IncompleteReadError):
        return "connection closed in the middle of the answer" if error.partial else "connection closed unanswered"
    if isinstance(error, ConnectionResetError | BrokenPipeError):
        return "connection reset"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    return f"{type(error).__name__}: {error}"[:200]


EXPECTED = (
    OSError,
    asyncio.IncompleteReadError,
    asyncio.LimitOverrunError,
    BadAnswer,
    Closed,
    ValueError,
)


class Visitors:
    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.pool = Pool(settings)
        self.samples: list[Sample] = []
        self.sessions: list[Session] = []
        self.greeted: set[int] = set()
        self.mistakes: list[BaseException] = []
        self.under_way: set[asyncio.Task[None]] = set()
        self.over = asyncio.Event()
        self.began = time.time()
        self._epoch = time.time() - time.monotonic()
        self._number = 0

    def now(self) -> float:
        return self._epoch + time.monotonic()

    async def run(self, ready: Callable[[], None]) -> None:
        """Until `over` is set; everything under way is waited for."""
        settings = self.settings
        held = [asyncio.create_task(self._hold(number)) for number in range(settings.websockets)]
        cycle = settings.cycle()
        streams = [self._stream(settings.rate, lambda number: self._one(cycle[number % len(cycle)], number))]
        if settings.slow:
            streams.append(self._stream(settings.slow, lambda number: self._one(settings.slow_target(), number)))
        if settings.handshakes:
            streams.append(self._stream(settings.handshakes, lambda _number: self._handshake))
        running = [asyncio.create_task(stream) for stream in streams]
        await self._settled()
        ready()
        await self.over.wait()
        await asyncio.gather(*running)
        await asyncio.gather(*held)
        if self.under_way:
            await asyncio.wait(self.under_way)
        self.pool.close()
        if self.mistakes:
            # No answer of a server, but an error of this client: its figures would be worth nothing.
            raise self.mistakes[0]

    async def _settled(self) -> None:
        """Answers come and all WebSockets are greeted, or it is clear that they will not."""
        deadline = time.monotonic() + self.settings.timeout
        while time.monotonic() < deadline and (not self.samples or len(self.greeted) < self.settings.websockets):
            await asyncio.sleep(0.05)

    async def _stream(self, rate: float, make: Callable[[int], Callable[[float], Awaitable[None]]]) -> None:
        """Start one request after another at its due time; none waits for the one before."""
        start, number = self.now(), 0
        while not self.over.is_set():
            due = start + number / rate
            pause = due - self.now()
            if pause > 0:
                await asyncio.sleep(pause)
                continue
            task = asyncio.ensure_future(make(number)(due))
            self.under_way.add(task)
            task.add_done_callback(self._ended)
            number += 1

    def _ended(self, task: asyncio.Task[None]) -> None:
        self.under_way.discard(task)
        error = task.exception()
        if error:
            self.mistakes.append(error)

    def _one(self, target: Target, number: int) -> Callable[[float], Awaitable[None]]:
        fresh = self.settings.fresh_every > 0 and number % self.settings.fresh_every == 3

        async def act(due: float) -> None:
            body = b""
            if target.method == "POST":
                body = json.dumps({"name": f"load-{number}", "price_cents": number % 1000}).encode()

            async def ask() -> tuple[int, str]:
                answer = await self.pool.request(target, body, fresh=fresh)
                return answer.status, answer.release

            extra = self.settings.slow_seconds if target.kind == "slow" else 0
            await self._sample(target.kind, due, self.settings.timeout + extra, ask)

        return act

    async def _handshake(self, due: float) -> None:
        async def ask() -> tuple[int, str]:
            socket = await WebSocket.open(self.pool, self.settings.websocket_host)
            await socket.leave()
            return 101, socket.release

        await self._sample("handshake", due, self.settings.timeout, ask)

    async def _sample(
        self, kind: str, due: float, timeout: float, ask: Callable[[], Awaitable[tuple[int, str]]]
    ) -> None:
        late = self.now() - due
        release, reason = "", ""
        try:
            async with asyncio.timeout(timeout):
                status, release = await ask()
            if status != GOOD[kind]:
                reason = f"status {status}"
        except EXPECTED as error:
            reason = why(error)
        self.samples.append(Sample(kind, due, self.now() - due, late, release, reason))

    async def _hold(self, number: int) -> None:
        """One visitor with a WebSocket, who comes back whenever it was closed."""
        while not self.over.is_set():
            opened = self.now()
            code, reason, release = NORMAL, "", ""
            try:
                async with asyncio.timeout(self.settings.timeout):
                    socket = await WebSocket.open(self.pool, self.settings.websocket_host)
                release = socket.release
                self.greeted.add(number)
                await self._talk(socket)
            except Closed as error:
                code = error.code
                reason = "" if code in GOOD_CLOSES else f"closed with {code}"
            except EXPECTED as error:
                code, reason = 0, why(error)
            self.sessions.append(Session(number, opened, self.now(), release, code, reason))
            if not self.over.is_set():
                await asyncio.sleep(random.uniform(0, COME_BACK_SECONDS))  # noqa: S311 -- spreads visitors, no secret

    async def _talk(self, socket: WebSocket) -> None:
        """Ping it now and then until this visitor leaves, the server closes it, or nothing is heard any more."""
        listening = asyncio.ensure_future(socket.listen())
        try:
            while not self.over.is_set():
                socket.send(PING)
                await asyncio.wait({listening}, timeout=self.settings.ping_every)
                if listening.done():
                    listening.result()
                if time.monotonic() - socket.heard > self.settings.timeout:
                    raise TimeoutError
            await socket.leave()
        finally:
            listening.cancel()
            socket.connection.close()

    def result(self) -> dict[str, Any]:
        return {
            "began": self.began,
            "ended": self.now(),
            "connections": self.pool.opened,
            "samples": [astuple(sample) for sample in self.samples],
            "sessions": [astuple(session) for session in self.sessions],
        }
