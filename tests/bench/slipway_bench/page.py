# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""docs/benchmarks.md from the results in docs/benchmarks/: python -m slipway_bench.page [RESULT.json ...]

Given results (of .cache/bench) are taken over into docs/benchmarks/ first.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from .result import ROOT, Result

KEPT = ROOT / "docs" / "benchmarks"
PAGE = ROOT / "docs" / "benchmarks.md"
HEAD = """# Benchmarks

Every table is the last run of a measurement that you can repeat: `make bench-deploy`. What is compared runs on the same
host in the same run, repetition by repetition, one after the other; a ratio is the median of the pairs. This page is
written from `docs/benchmarks/*.json` by `make benchmarks`.
"""
ABOUT = {
    "deploy": """Releases of the sample shop (three services, PostgreSQL, Redis) on one hardened server, under a steady
stream of requests over TLS, with WebSockets and slow requests in flight. `slipway` is `playbooks/deploy.yml`;
`compose_up` is `docker compose up -d` behind the same Nginx; `stop_start` is a role that stops the services and starts
them in the new release. Lost is everything that is no good answer: 5xx, resets, time-outs; for WebSockets, being cut
without a word or refused at coming back. Nothing is asked twice. `release_seconds` is the whole play,
`first_byte_seconds` the time until the new release answers its first visitor. Slipway takes longer: it probes, observes
and drains.""",
    "soak": """Consecutive releases in one stream of requests (`make test-long`): GET, POST, pages, slow requests of
three seconds, WebSockets that are held and new ones.""",
}


def render(results: list[Result]) -> str:
    parts = [HEAD] if results else [HEAD, "No measurement is recorded yet.\n"]
    for result in results:
        machine = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in result.machine.items())
        rows = "\n".join(f"| {' | '.join([f'`{row[0]}`', *row[1:]])} |" for row in result.rows())
        about = ABOUT.get(result.name, "")
        parts.append(
            f"## {result.name}\n\n{about}\n\nRepetitions: {result.repetitions}. Machine: {machine}.\n\n"
            f"| figure | median | least | most | values |\n|---|---:|---:|---:|---:|\n{rows}\n"
        )
    return "\n".join(parts)


def kept() -> list[Result]:
    return [Result.read(path) for path in sorted(KEPT.glob("*.json"))]


def main(arguments: list[str]) -> int:
    KEPT.mkdir(parents=True, exist_ok=True)
    for name in arguments:
        shutil.copy(name, KEPT / Path(name).name)
    PAGE.write_text(render(kept()), encoding="utf-8")
    print(f"{PAGE.relative_to(ROOT)}: written")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
