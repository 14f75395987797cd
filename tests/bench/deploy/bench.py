# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Releases under load: Slipway beside `docker compose up -d` and beside a role that stops and starts."""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from slipway_bench import Result
from slipway_lab import ROOT, Server
from slipway_load import Load, Report

PEERS = ROOT / "tests" / "bench" / "deploy" / "peers"
RELEASES = ("1.0.1", "1.1.0")
SETTINGS = ("-e", "stack_drain_websocket=5")
ROLLBACKS = 5


@dataclass(frozen=True)
class Place:
    """Where visitors of the peers' shop go."""

    address: str
    zone: str


@dataclass(frozen=True)
class Contestant:
    """One way to release, and where its visitors are."""

    name: str
    place: Server | Place
    ca: str
    release: Callable[[str], None]


def contestants(server: Server, folder: Path) -> list[Contestant]:
    certificate = folder / "peers.pem"
    certificate.write_text(server.vps.file("/srv/peers/certificate.pem").content_string, encoding="utf-8")
    place = Place(server.address, "peers.test")

    def peer(name: str) -> Contestant:
        def release(tag: str) -> None:
            server.playbook(str(PEERS / "release.yml"), "-e", f"peer={name}", "-e", f"stack_release={tag}", nice=19)

        return Contestant(name, place, str(certificate), release)

    def slipway(tag: str) -> None:
        server.playbook("deploy", "-e", f"stack_release={tag}", *SETTINGS, nice=19)

    ca = str(ROOT / ".cache" / "lab" / "acme-root.pem")
    return [Contestant("slipway", server, ca, slipway), peer("compose_up"), peer("stop_start")]


def measure(
    contestant: Contestant, act: Callable[[], None], options: argparse.Namespace
) -> tuple[Report, float, float]:
    """The report of the visitors, the seconds of the play and the seconds until the first answer of the new release."""
    visitors = {"rate": options.rate, "websockets": options.websockets, "slow": 1.0, "ca": contestant.ca}
    with Load(contestant.place, **visitors) as load:
        time.sleep(options.steady)
        began = time.time()
        with load.window("release"):
            act()
        ended = time.time()
        time.sleep(options.steady)
    moved = [switch.moment - began for switch in load.report.switches()]
    if not moved:
        raise SystemExit(f"The release by {contestant.name} never answered: {load.report}")
    return load.report, ended - began, moved[0]


def run(server: Server, options: argparse.Namespace, folder: Path) -> Result:
    result = Result("deploy")
    ways = contestants(server, folder)
    for way in ways:
        way.release(RELEASES[1])
    for repetition in range(options.repetitions):
        tag = RELEASES[repetition % 2]
        for way in ways:
            report, seconds, first = measure(way, lambda way=way, tag=tag: way.release(tag), options)
            result.add(f"{way.name}.release_seconds", seconds)
            result.add(f"{way.name}.first_byte_seconds", first)
            result.add(f"{way.name}.requests", report.requests)
            result.add(f"{way.name}.requests_lost", report.lost)
            during, steady = report.window("release"), report.steady()
            result.add(f"{way.name}.p99_during_ms", during.p99)
            result.add(f"{way.name}.p99_steady_ms", steady.p99)
            say(f"{repetition + 1}/{options.repetitions} {way.name}: {report.lost} lost, {seconds:.1f} s", report)
        if repetition < ROLLBACKS:
            back = Contestant("slipway", server, ways[0].ca, ways[0].release)
            report, seconds, first = measure(
                back, lambda: server.playbook("rollback", *SETTINGS, nice=19) and None, options
            )
            result.add("slipway.rollback_seconds", seconds)
            result.add("slipway.rollback_first_byte_seconds", first)
            result.add("slipway.rollback_requests_lost", report.lost)
            say(f"{repetition + 1}/{options.repetitions} rollback: {report.lost} lost, {seconds:.1f} s", report)
            ways[0].release(tag)
    return finish(result)


def finish(result: Result) -> Result:
    pairs = zip(result.figures["slipway.p99_during_ms"], result.figures["slipway.p99_steady_ms"], strict=True)
    result.figures["slipway.p99_during/steady"] = [round(during / steady, 3) for during, steady in pairs]
    result.ratios["slipway.p99_during/steady"] = round(
        statistics.median(result.figures["slipway.p99_during/steady"]), 3
    )
    for peer in ("compose_up", "stop_start"):
        result.compare("slipway", peer, "release_seconds")
        result.compare("slipway", peer, "first_byte_seconds")
    return result


def say(line: str, report: Report) -> None:
    print(line, flush=True)
    for loss in report.losses(3):
        print(f"    lost: {loss}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default=os.environ.get("SLIPWAY_HOST", "vps1"))
    parser.add_argument("--repetitions", type=int, default=int(os.environ.get("REPETITIONS", "20")))
    parser.add_argument("--rate", type=float, default=float(os.environ.get("SLIPWAY_LOAD_RATE", "200")))
    parser.add_argument("--websockets", type=int, default=20)
    parser.add_argument("--steady", type=float, default=8.0, help="seconds before and after each release")
    options = parser.parse_args()
    server = Server(options.host)
    server.playbook("site")
    server.playbook(str(PEERS / "prepare.yml"))
    with tempfile.TemporaryDirectory() as folder:
        result = run(server, options, Path(folder))
    print(
        f"\n{result}\n\n{result.write().relative_to(ROOT)}: written; `make benchmarks` puts it into docs/benchmarks.md"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
