# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`slipway health`: the probes of this host's stacks, from the files that playbooks/health.yml leaves here."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from ..common.errors import SlipwayError
from ..common.files import read_json
from . import engine, report
from .result import POLICIES

DIRECTORY = Path("/etc/slipway/probes")
UNHEALTHY = 2


def register(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    health = sub.add_parser("health", help="probe the stacks of this host (exit status 2: not healthy)")
    health.add_argument("stack", nargs="?", help="one stack (default: all)")
    health.add_argument("--format", choices=sorted(report.FORMATS), default="table")
    health.add_argument("--output", metavar="FILE", help="write to a file instead of the standard output")
    health.add_argument("--fail-on", choices=sorted(POLICIES), default="fail")
    health.add_argument("--directory", type=Path, default=DIRECTORY, help=argparse.SUPPRESS)
    health.set_defaults(func=health_command)


def health_command(args: argparse.Namespace) -> int:
    result = engine.check(load(args.directory, args.stack))
    if args.output:
        report.write(result, {args.format: args.output})
    else:
        sys.stdout.write(report.FORMATS[args.format](result))
    return 0 if result.passes(args.fail_on) else UNHEALTHY


def load(directory: Path, stack: str | None) -> engine.Request:
    """The probes of one stack, or of all."""
    files = [directory / f"{stack}.json"] if stack else sorted(directory.glob("*.json"))
    probes: list[dict[str, Any]] = []
    for path in files:
        probes += _read(path)
    if not probes:
        raise SlipwayError(
            f"No probes are described in {directory}.", hint="Run playbooks/health.yml for this host once."
        )
    return engine.Request(probes)


def _read(path: Path) -> list[dict[str, Any]]:
    content = read_json(path)
    if content is None:
        raise SlipwayError(f"There is no file {path}.", hint="Run playbooks/health.yml for this host once.")
    # Two stacks on one host both watch its disk: the name says whose probe it is.
    return [{**probe, "name": f"{path.stem}: {probe['name']}"} for probe in content["probes"]]
