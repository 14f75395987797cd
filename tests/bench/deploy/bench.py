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
    with Load(contestant.place, alone=True, **visitors) as load:
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


class Bench:
    """All ways in turn, repetition by repetition. The peers share one shop, so each finds the release of the other."""

    def __init__(self, server: Server, options: argparse.Namespace, folder: Path) -> None:
        self.server = server
        self.options = options
        self.ways = contestants(server, folder)
        self.result = Result("deploy")
        self.serves: dict[str, str] = {}

    def run(self) -> Result:
        for way in self.ways:
            if way.place.zone not in self.serves:
                self.release(way, RELEASES[0])
        for repetition in range(1, self.options.repetitions + 1):
            for way in self.ways:
                self.measure_release(way, repetition)
            if repetition <= ROLLBACKS:
                self.measure_rollback(repetition)
        return finish(self.result)

    def release(self, way: Contestant, tag: str) -> None:
        way.release(tag)
        self.serves[way.place.zone] = tag

    def other(self, way: Contestant) -> str:
        return next(tag for tag in RELEASES if tag != self.serves[way.place.zone])

    def measure_release(self, way: Contestant, repetition: int) -> None:
        tag = self.other(way)
        report, seconds, first = measure(way, lambda: self.release(way, tag), self.options)
        during, steady = report.window("release"), report.steady()
        for figure, value in {
            "release_seconds": seconds,
            "first_byte_seconds": first,
            "requests": report.requests,
            "requests_lost": report.requests_lost,
            "websockets_lost": report.lost - report.requests_lost,
            "p99_during_ms": during.p99,
            "p99_steady_ms": steady.p99,
        }.items():
            self.result.add(f"{way.name}.{figure}", value)
        self.say(f"{way.name}: {report.lost} of {report.requests} lost, {seconds:.1f} s", repetition, report)

    def measure_rollback(self, repetition: int) -> None:
        way = self.ways[0]
        before = self.other(way)
        report, seconds, first = measure(way, self.roll_back, self.options)
        self.serves[way.place.zone] = before
        for figure, value in {"seconds": seconds, "first_byte_seconds": first, "requests_lost": report.lost}.items():
            self.result.add(f"{way.name}.rollback_{figure}", value)
        self.say(f"rollback: {report.lost} of {report.requests} lost, {seconds:.1f} s", repetition, report)

    def roll_back(self) -> None:
        self.server.playbook("rollback", *SETTINGS, nice=19)

    def say(self, line: str, repetition: int, report: Report) -> None:
        print(f"{repetition}/{self.options.repetitions} {line}", flush=True)
        for loss in report.losses(3):
            print(f"    lost: {loss}", flush=True)


def finish(result: Result) -> Result:
    figure = "slipway.p99_during/steady"
    pairs = zip(result.figures["slipway.p99_during_ms"], result.figures["slipway.p99_steady_ms"], strict=True)
    result.figures[figure] = [round(during / steady, 3) for during, steady in pairs]
    result.ratios[figure] = round(statistics.median(result.figures[figure]), 3)
    for peer in ("compose_up", "stop_start"):
        result.compare("slipway", peer, "release_seconds")
        result.compare("slipway", peer, "first_byte_seconds")
    return result


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
        result = Bench(server, options, Path(folder)).run()
    print(
        f"\n{result}\n\n{result.write().relative_to(ROOT)}: written; `make benchmarks` puts it into docs/benchmarks.md"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
