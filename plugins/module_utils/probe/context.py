# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The time and the sockets of one attempt.

A socket timeout restarts with every byte, so a server that sends one byte a second would hold a probe for ever. The
runner therefore aborts an attempt from outside: it shuts the attempt's connections down, which wakes the thread.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable

from ..common.errors import SlipwayError

Closer = Callable[[], object]


class Context:
    """Handed to a probe type for one attempt, which ends at `end` at the latest, with the run."""

    def __init__(self, timeout: float, connect_timeout: float, end: float = float("inf")) -> None:
        self.timeout = timeout
        self.connect_timeout = min(connect_timeout, timeout)
        self.deadline = min(time.monotonic() + timeout, end)
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._closers: list[Closer] = []
        self._aborted = False

    def remaining(self) -> float:
        """Seconds left for this attempt."""
        left = self.deadline - time.monotonic()
        if left <= 0 or self._aborted:
            raise TimeoutError(f"no answer within {self.timeout:g} s")
        return left

    def own(self, connection: socket.socket) -> socket.socket:
        """Shut this socket down at the deadline and close it at the end of the attempt."""
        with self._lock:
            self._sockets.append(connection)
            aborted = self._aborted
        if aborted:
            _shut_down(connection)
        return connection

    def on_abort(self, closer: Closer) -> None:
        """Call `closer` at the deadline (for libraries that keep their sockets to themselves)."""
        with self._lock:
            self._closers.append(closer)
            aborted = self._aborted
        if aborted:
            closer()

    def abort(self) -> None:
        """Wake the attempt's thread; called by the runner from another thread."""
        with self._lock:
            self._aborted = True
            sockets, closers = list(self._sockets), list(self._closers)
        for connection in sockets:
            _shut_down(connection)
        for closer in closers:
            # Whatever a library says about being closed under its feet, the attempt is over.
            with contextlib.suppress(Exception):
                closer()

    def close(self) -> None:
        """End of the attempt: no socket is left behind."""
        with self._lock:
            sockets, self._sockets = self._sockets, []
            self._closers = []
        for connection in sockets:
            connection.close()

    def connect(self, host: str, port: int) -> socket.socket:
        """A TCP connection within the connect deadline, trying each address of the name in turn."""
        addresses = resolve(host, port)
        end = time.monotonic() + min(self.connect_timeout, self.remaining())
        problem: OSError | None = None
        for index, (family, address) in enumerate(addresses):
            share = (end - time.monotonic()) / (len(addresses) - index)
            if share <= 0:
                break
            try:
                return self._open(family, address, share)
            except OSError as error:
                problem = error
        if problem is None or isinstance(problem, TimeoutError):
            raise TimeoutError(f"no connection to {host}:{port} within {self.connect_timeout:g} s") from problem
        raise problem

    def _open(self, family: int, address: tuple[str, int], seconds: float) -> socket.socket:
        connection = self.own(socket.socket(family, socket.SOCK_STREAM))
        connection.settimeout(seconds)
        connection.connect(address)
        connection.settimeout(self.remaining())
        return connection


def resolve(host: str, port: int = 0) -> list[tuple[int, tuple[str, int]]]:
    """The addresses of a name, as (family, socket address)."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        reason = error.strerror if isinstance(error, socket.gaierror) else "it is not a host name"
        raise SlipwayError(
            f"The name {host} does not resolve: {reason}.", hint="Check the DNS record and /etc/resolv.conf."
        ) from error
    return [(family, address) for family, _kind, _protocol, _name, address in found]  # type: ignore[misc]


def _shut_down(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        # The plain system call: SSLSocket.shutdown() would drop the TLS state that the other thread is using.
        socket.socket.shutdown(connection, socket.SHUT_RDWR)
