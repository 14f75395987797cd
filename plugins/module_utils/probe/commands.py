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
from ..common.terminal import complain
from . import engine, report, watch
from .result import POLICIES, Report

UNTOLD, UNHEALTHY = 1, 2


def register(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    health = sub.add_parser("health", help="probe the stacks of this host (exit status 2: not healthy)")
    health.add_argument("stack", nargs="?", help="one stack (default: all)")
    health.add_argument("--format", choices=sorted(report.FORMATS), default="table")
    health.add_argument("--output", metavar="FILE", help="write to a file instead of the standard output")
    health.add_argument("--fail-on", choices=sorted(POLICIES), default="fail")
    health.add_argument(
        "--tell", action="store_true", help="also write the metrics, and tell the webhooks what changed (needs a stack)"
    )
    health.add_argument("--directory", type=Path, default=watch.DIRECTORY, help=argparse.SUPPRESS)
    health.set_defaults(func=health_command)


def health_command(args: argparse.Namespace) -> int:
    problems: list[str] = []
    if args.tell:
        result, problems = tell(args.directory, args.stack)
    else:
        result = engine.check(load(args.directory, args.stack))
    if args.output:
        report.write(result, {args.format: args.output})
    else:
        sys.stdout.write(report.FORMATS[args.format](result))
    for problem in problems:
        complain(problem)
    if problems:
        return UNTOLD
    return 0 if result.passes(args.fail_on) else UNHEALTHY


def tell(directory: Path, stack: str | None) -> tuple[Report, list[str]]:
    if not stack:
        raise SlipwayError("--tell is for one stack.", hint="Run: slipway health STACK --tell")
    result, problems = watch.run(stack, directory)
    if result is None:
        raise SlipwayError(f"{stack} was not probed. {' '.join(problems)}")
    return result, problems


def load(directory: Path, stack: str | None) -> engine.Request:
    """The probes of one stack, or of all."""
    stacks = [stack] if stack else sorted(path.stem for path in directory.glob("*.json"))
    if not stacks:
        raise SlipwayError(
            f"No probes are described in {directory}.", hint="Run playbooks/health.yml for this host once."
        )
    probes: list[dict[str, Any]] = []
    for name in stacks:
        definitions, settings = watch.read(directory, name)
        probes += [{"timeout": settings.timeout, **_of(name, probe)} for probe in definitions]
    return engine.Request(probes)


def _of(stack: str, probe: dict[str, Any]) -> dict[str, Any]:
    """Two stacks on one host both watch its disk: the name says whose probe it is."""
    return {**probe, "name": f"{stack}: {probe['name']}"} if probe.get("name") else probe
