# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Requests in flight on the old slot: counted on its ports, waited for, within a limit."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from ..common.process import run
from .spec import Route

POLL_SECONDS = 0.2
# A request that chose the old slot just before the switch may not have connected yet.
QUIET_SECONDS = 1.0


def argv(ports: Sequence[int]) -> list[str]:
    """`ss` for the connections from Nginx to these ports."""
    conditions = " or ".join(f"dport = :{port}" for port in sorted(ports))
    return ["ss", "-Htn", "state", "established", f"( {conditions} )"]


def count(ports: Sequence[int]) -> int:
    if not ports:
        return 0
    return sum(1 for line in run(argv(ports), timeout=10).stdout.splitlines() if line.strip())


def limits(
    routes: Iterable[Route], upstreams: Mapping[str, Sequence[int]], http: float, websocket: float
) -> dict[int, float]:
    """Port -> seconds. A port that carries WebSockets gets their limit."""
    found: dict[int, float] = {}
    for route in routes:
        for port in upstreams.get(route.name, ()):
            found[port] = max(found.get(port, 0.0), websocket if route.websocket else http)
    return found


def wait(
    limit_by_port: Mapping[int, float],
    counter: Callable[[Sequence[int]], int] = count,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Until the ports are quiet or their limits are over; return the connections that were left."""
    started = clock()
    quiet_since: float | None = None
    while True:
        now = clock()
        open_ports = [port for port, limit in limit_by_port.items() if now - started < limit]
        if not open_ports:
            return counter(list(limit_by_port))
        if counter(open_ports):
            quiet_since = None
        elif quiet_since is None:
            quiet_since = now
        elif now - quiet_since >= QUIET_SECONDS:
            return counter(list(limit_by_port))
        sleep(POLL_SECONDS)
