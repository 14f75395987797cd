# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A release under traffic: is it still what it was when it was let in?"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from . import edge, health, nginx
from .health import Answer
from .spec import TENANTS, Route, Spec

PAUSE = 0.5
# One answer may get lost on a busy host; two in a row are an illness.
FAILURES = 2

Ask = Callable[[Route], Answer]


def questions(spec: Spec, upstreams: Mapping[str, Sequence[int]]) -> list[tuple[Route, Ask]]:
    """How each route is asked: through Nginx where the way leads there, and every container through its port."""
    asked: list[tuple[Route, Ask]] = []
    for route in spec.routes:
        if route.host != TENANTS and nginx.asked_through(spec.routes, route):
            asked.append((route, lambda route: edge.fetch(route.host, route.health)))
        for port in upstreams.get(route.name, ()):
            asked.append((route, lambda route, port=port: health.ask(port, route, spec.domain)))  # type: ignore[misc]
    return asked


def watch(
    asked: Sequence[tuple[Route, Ask]],
    seconds: float,
    stable: Callable[[], None],
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """For so many seconds; `stable` raises when a container is not."""
    in_row = [0] * len(asked)
    end = clock() + seconds
    while True:
        for position, (route, ask) in enumerate(asked):
            said = ask(route)
            in_row[position] = 0 if said.ok else in_row[position] + 1
            if in_row[position] >= FAILURES:
                raise health.unwell("Under traffic the release is sick", route, said)
        stable()
        if clock() >= end and not any(in_row):
            return
        sleep(PAUSE)
