# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""python -m slipway_load --address 10.77.0.21 --zone vps1.test --ca acme-root.pem --rate 200 --seconds 60"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import sys
import tempfile
from pathlib import Path

from .report import Report
from .settings import Settings
from .visitors import Visitors


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m slipway_load", description=__doc__)
    parser.add_argument("--settings", help="a file with the settings as JSON, or - for the first line of the input")
    parser.add_argument("--address", help="where to connect to")
    parser.add_argument("--zone", help="the domain of the shop")
    parser.add_argument("--ca", default=".cache/lab/acme-root.pem", help="the certificate authority to trust")
    parser.add_argument("--rate", type=float, default=100, help="requests a second")
    parser.add_argument("--websockets", type=int, default=0, help="WebSockets to hold")
    parser.add_argument("--slow", type=float, default=0, help="requests a second that take three seconds")
    parser.add_argument("--handshakes", type=float, default=0, help="new WebSockets a second")
    parser.add_argument("--no-posts", action="store_true", help="write nothing")
    parser.add_argument("--seconds", type=float, help="how long; default: until the input ends")
    parser.add_argument("--out", type=Path, help="write everything as JSON instead of printing a summary")
    given = parser.parse_args()
    if not given.settings and not (given.address and given.zone):
        parser.error("--address and --zone are needed")
    return given


def settings(given: argparse.Namespace) -> Settings:
    if given.settings:
        text = sys.stdin.readline() if given.settings == "-" else Path(given.settings).read_text(encoding="utf-8")
        return Settings.read(json.loads(text))
    return Settings(
        given.address,
        given.zone,
        given.ca,
        rate=given.rate,
        posts=not given.no_posts,
        websockets=given.websockets,
        slow=given.slow,
        handshakes=given.handshakes,
    )


async def run(visitors: Visitors, seconds: float | None) -> None:
    loop = asyncio.get_running_loop()
    if seconds is not None:
        loop.call_later(seconds, visitors.over.set)
    else:
        # The end of the input is the sign to stop, so that nothing is left behind if the test dies.
        loop.run_in_executor(None, sys.stdin.read).add_done_callback(lambda _future: visitors.over.set())
    await visitors.run(lambda: print("ready", flush=True))


def main() -> int:
    given = arguments()
    visitors = Visitors(settings(given))
    # What was loaded so far stays: looking through it for garbage again and again would only cause pauses.
    gc.freeze()
    asyncio.run(run(visitors, given.seconds))
    if given.out:
        given.out.write_text(json.dumps(visitors.result()), encoding="utf-8")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "report.json"
        path.write_text(json.dumps(visitors.result()), encoding="utf-8")
        print(Report.read(path))
    return 0


if __name__ == "__main__":
    sys.exit(main())
