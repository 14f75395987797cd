# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hardening a new server, and once more with nothing to do: Slipway beside dev-sec, where PEERS_DIR has it."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from slipway_bench import Result
from slipway_bench.hosts import linked, new_host, peers, play
from slipway_bench.result import ROOT

HOST = "vps10"
PLAYBOOKS = {"slipway": "playbooks/harden.yml", "devsec": "tests/bench/peers/dev-sec.yml"}


def run(repetitions: int, folder: Path) -> Result:
    result = Result("converge")
    environment = linked(folder)
    ways = ["slipway", *(["devsec"] if "dev-sec" in peers() else [])]
    for repetition in range(repetitions):
        for way in ways[:: 1 if repetition % 2 == 0 else -1]:
            new_host(HOST)
            for name in ("first", "second"):
                seconds = play(HOST, PLAYBOOKS[way], environment=environment)
                result.add(f"{way}.hardening_{name}_seconds", seconds)
                print(f"{repetition + 1}/{repetitions} {way}, {name} run: {seconds:.1f} s", flush=True)
    for name in ("first", "second") if len(ways) > 1 else ():
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
