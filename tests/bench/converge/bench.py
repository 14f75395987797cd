# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A new server until its site answers, and a second run; the same for the hardening alone.

Beside them: the same service built task by task, and dev-sec's hardening where PEERS_DIR has it.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from slipway_bench import Result
from slipway_bench.hosts import link, new_host, peers, play
from slipway_bench.result import ROOT
from slipway_lab import Server

HOST = "vps10"
HEALTH = {"": "/health", "admin.": "/health", "api.": "/ready"}


@dataclass(frozen=True)
class Way:
    """A playbook that is run twice on a new server, and what its figures are called."""

    who: str
    playbook: str
    figure: str = ""
    site: bool = False


WAYS = (
    Way("slipway", "playbooks/harden.yml", "hardening_"),
    Way("devsec", "tests/bench/peers/dev-sec.yml", "hardening_"),
    Way("slipway", "playbooks/site.yml", site=True),
    Way("naive", "tests/bench/peers/naive.yml", site=True),
)


class NoAnswer(Exception):
    """The site is not there: nothing was built that could be measured."""


def answers() -> None:
    web = Server(HOST).web
    for name, path in HEALTH.items():
        answer = web.ask(f"{name}{HOST}.test", path)
        if answer.status != 200:
            raise NoAnswer(f"https://{name}{HOST}.test{path} answers {answer.status}")


def run(repetitions: int, folder: Path) -> Result:
    result = Result("converge")
    link(folder)
    ways = [way for way in WAYS if way.who != "devsec" or "dev-sec" in peers()]
    for repetition in range(repetitions):
        # A new server is no heir of the backups of the one before it.
        prefix = ("--extra-vars", f"backup_s3_prefix=converge-{os.getpid()}-{repetition}")
        for way in ways[:: 1 if repetition % 2 == 0 else -1]:
            new_host(HOST)
            play(HOST, "tests/bench/peers/provided.yml")
            for name in ("first", "second"):
                played = play(HOST, way.playbook, *prefix)
                if way.site:
                    answers()
                result.add(f"{way.who}.{way.figure}{name}_seconds", played.seconds)
                result.add(f"{way.who}.{way.figure}{name}_changed", played.changed)
                print(f"{repetition + 1}/{repetitions} {way.who}, {way.playbook}, {name} run: {played}", flush=True)
    for name in ("first", "second"):
        result.compare("slipway", "naive", f"{name}_seconds")
        result.figures[f"slipway.site_{name}_seconds"] = result.figures.pop(f"slipway.{name}_seconds")
        if "dev-sec" in peers():
            result.compare("slipway", "devsec", f"hardening_{name}_seconds")
    return result


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=int(os.environ.get("REPETITIONS", "3")))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = run(options.repetitions, Path(folder))
    print(
        f"\n{result}\n\n{result.write().relative_to(ROOT)}: written; `make benchmarks` puts it into docs/benchmarks.md"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
