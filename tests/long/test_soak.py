# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Twenty releases one after the other in one stream of requests: not one request is lost."""

from __future__ import annotations

import os
import time

from slipway_bench import Result
from slipway_lab import Server
from slipway_load import Load

RELEASES = int(os.environ.get("RELEASES", "20"))
RATE = float(os.environ.get("SLIPWAY_LOAD_RATE", "200"))
QUICKLY = ("-e", "stack_observe=2", "-e", "stack_drain_websocket=5")
STEADY_SECONDS = 5


def test_twenty_releases_lose_nothing(server: Server) -> None:
    server.playbook("site", "-e", "stack_release=1.0.0")
    wanted = [("1.0.1", "1.1.0")[number % 2] for number in range(RELEASES)]
    result = Result("soak")
    with Load(server, alone=True, rate=RATE, websockets=20, slow=1, handshakes=2) as load:
        time.sleep(STEADY_SECONDS)
        for release in wanted:
            began = time.monotonic()
            with load.window("release"):
                server.playbook("deploy", "-e", f"stack_release={release}", *QUICKLY, nice=19)
            result.add("slipway.release_seconds", time.monotonic() - began)
            time.sleep(STEADY_SECONDS)
    report = load.report
    print(f"\n{report}")
    for kind, count in report.counts().items():
        result.add(f"slipway.{kind}", count["sent"])
        result.add(f"slipway.{kind}_lost", count["lost"])
    during, steady = report.window("release"), report.steady()
    result.add("slipway.p50_during_ms", during.p50)
    result.add("slipway.p50_steady_ms", steady.p50)
    result.add("slipway.p99_during_ms", during.p99)
    result.add("slipway.p99_steady_ms", steady.p99)
    result.write()
    assert [switch.release for switch in report.switches()] == wanted
    assert report.lost == 0, str(report)
