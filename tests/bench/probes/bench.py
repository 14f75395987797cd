# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Many services, of which some are slow, hang or refuse: Slipway's module beside a loop over ansible.builtin.uri."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slipway_bench import Result
from slipway_bench.accounting import Usage
from slipway_bench.play import play
from slipway_bench.result import ROOT

HERE = Path(__file__).parent
WAYS = ("slipway", "uri_loop")


@dataclass(frozen=True)
class Field:
    """What is probed, and in what time."""

    targets: list[dict[str, Any]]
    timeout: float

    def variables(self) -> dict[str, Any]:
        probes = [
            {"name": one["name"], "type": "http", "target": one["url"], "json": {"status": "ok"}}
            for one in self.targets
        ]
        bad = [one["name"] for one in self.targets if one["name"].startswith(("hanging", "refused"))]
        return {"targets": self.targets, "probes": probes, "bad": bad, "timeout": self.timeout}


@contextlib.contextmanager
def field(options: argparse.Namespace) -> Iterator[Field]:
    good = options.targets - options.slow - options.hanging - options.refused
    counts = [str(count) for count in (good, options.slow, options.hanging, options.refused)]
    command = [sys.executable, str(HERE / "targets.py"), *counts]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as services:
        if services.stdout is None:
            raise AssertionError("it is a pipe")
        try:
            yield Field(json.loads(services.stdout.readline()), options.timeout)
        finally:
            services.terminate()


def run(options: argparse.Namespace, folder: Path) -> Result:
    result = Result("probes")
    place = folder / "variables.json"
    for repetition in range(options.repetitions):
        ways = WAYS[repetition % 2 :] + WAYS[: repetition % 2]
        for way in ways:
            # New services for each: nobody pays for connections that another left.
            with field(options) as probed:
                place.write_text(json.dumps(probed.variables()), encoding="utf-8")
                usage, modules = play(HERE / f"{way}.yml", place, folder, modules=way == "slipway")
            result.add(f"{way}.seconds", usage.seconds)
            result.add(f"{way}.playbook_cpu_seconds", usage.cpu_seconds)
            if way == "slipway":
                add_module(result, usage, modules, options.timeout)
            print(f"{repetition + 1}/{options.repetitions} {way}: {usage.seconds:.1f} s", flush=True)
    result.compare("uri_loop", "slipway", "seconds")
    return result


def add_module(result: Result, usage: Usage, modules: list[dict[str, float]], timeout: float) -> None:
    [module] = modules
    result.add("slipway.over_timeout_seconds", module["seconds"] - timeout)
    result.add("slipway.playbook_over_timeout_seconds", usage.seconds - timeout)
    result.add("slipway.cpu_seconds", module["cpu_seconds"])
    result.add("slipway.rss_mib", module["rss_mib"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=int(os.environ.get("REPETITIONS", "3")))
    parser.add_argument("--targets", type=int, default=int(os.environ.get("TARGETS", "200")))
    parser.add_argument("--slow", type=int, default=10)
    parser.add_argument("--hanging", type=int, default=3)
    parser.add_argument("--refused", type=int, default=2)
    parser.add_argument("--timeout", type=float, default=5.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = run(options, Path(folder))
    print(
        f"\n{result}\n\n{result.write().relative_to(ROOT)}: written; `make benchmarks` puts it into docs/benchmarks.md"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
