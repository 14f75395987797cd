# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tenants side by side: a bounded number of threads, each with a connection of its own."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Generic, TypeVar

from ..common.errors import SlipwayError
from ..postgres.options import PostgresOptions
from .session import Session

# A rollback, or the removal of what was half made, ends before it is cancelled too.
CANCEL_SECONDS = 3.0

Item = TypeVar("Item")
# Does one item's work and says whether further ones may be begun.
Work = Callable[[Session, Item], bool]


class Workers(Generic[Item]):
    """Works off items over the session at hand and as many further connections as the server grants."""

    def __init__(self, session: Session, options: PostgresOptions, limit: int) -> None:
        self.session = session
        self.options = options
        self.limit = limit
        self.stop = threading.Event()  # begin nothing more
        self.abandoned = threading.Event()  # and wait for nobody

    def run(self, items: Sequence[Item], work: Work[Item]) -> Iterator[Item]:
        """Yields each item when it is done. Those that are never yielded were not begun."""
        if not items:
            return
        waiting = deque(items)
        done: queue.SimpleQueue[Item | BaseException | None] = queue.SimpleQueue()
        with ExitStack() as stack:
            sessions = [self.session, *self._further(stack, len(items) - 1)]
            threads = [
                threading.Thread(target=self._drain, args=(session, waiting, done, work), daemon=True)
                for session in sessions
            ]
            for thread in threads:
                thread.start()
            try:
                yield from _ended(done, len(threads))
            except BaseException:
                # A signal, or a fault of our own: what runs on the server ends too, and nothing of it is kept.
                self.stop.set()
                self.abandoned.set()
                _cancel(sessions, threads)
                raise
            finally:
                for thread in threads:
                    thread.join()
                self.session.queries += sum(session.queries for session in sessions[1:])

    def _further(self, stack: ExitStack, useful: int) -> Iterator[Session]:
        for _number in range(min(self.limit - 1, useful)):
            try:
                yield stack.enter_context(Session.open(self.options))
            except SlipwayError:
                return  # the server has no connection left to give: it takes longer

    def _drain(
        self,
        session: Session,
        waiting: deque[Item],
        done: queue.SimpleQueue[Item | BaseException | None],
        work: Work[Item],
    ) -> None:
        try:
            while not self.stop.is_set() and not session.connection.closed:
                try:
                    item = waiting.popleft()
                except IndexError:
                    return  # nothing waits any more
                if not work(session, item):
                    self.stop.set()
                done.put(item)
        except BaseException as error:
            done.put(error)
        finally:
            done.put(None)


def _ended(done: queue.SimpleQueue[Item | BaseException | None], threads: int) -> Iterator[Item]:
    """The items as they end, until every thread has."""
    while threads:
        item = done.get()
        if item is None:
            threads -= 1
        elif isinstance(item, BaseException):
            raise item
        else:
            yield item


def _cancel(sessions: Sequence[Session], threads: Sequence[threading.Thread]) -> None:
    """Again while one works on: between two statements a session does not hear it, and the next may take hours."""
    while any(thread.is_alive() for thread in threads):
        for session in sessions:
            with contextlib.suppress(Exception):  # closed, or its server is gone: nothing runs there
                session.connection.cancel()
        end = time.monotonic() + CANCEL_SECONDS
        for thread in threads:
            thread.join(max(0.0, end - time.monotonic()))
