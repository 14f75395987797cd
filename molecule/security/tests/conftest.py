# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""All scans at once, two at a time: each is asked for by the test that judges it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
from slipway_lab import Server
from slipway_scans import PROFILES, Scanners

Scan = Callable[[str], Any]


@pytest.fixture(scope="session")
def scanners(server: Server) -> Scanners:
    return Scanners(server.name)


@pytest.fixture(scope="session")
def scan(server: Server, scanners: Scanners) -> Iterator[Scan]:
    # Its first state is recorded when a new server is finished; the scanners ask for it. Modes are put right every day.
    server.vps.check_output("systemctl start slipway-aide-baseline.service && systemctl start slipway-modes.service")
    work = {
        "testssl": partial(scanners.testssl, server.zone),
        "lynis": scanners.lynis,
        **{profile: partial(scanners.openscap, profile) for profile in PROFILES},
    }
    with ThreadPoolExecutor(max_workers=2) as pool:
        begun: dict[str, Future[Any]] = {name: pool.submit(one) for name, one in work.items()}
        yield lambda name: begun[name].result()
