# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`slipway tenants`: the tenants of this host's stacks. Role `tenants` leaves the connection of each stack here."""

from __future__ import annotations

import argparse
import json
from typing import Any

from ..common.errors import SlipwayError
from ..common.events import Emitter
from ..common.lock import FileLock
from ..common.terminal import complain, say
from . import configuration, info, lifecycle, problems, reconcile

JOBS = lifecycle.JOBS
LOCK_WAIT = 300.0  # for the timer's run, which may be waiting for certificates
COLUMNS = ("slug", "state", "subdomain", "custom_domain", "plan", "schema", "tables", "templates")


def register(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = sub.add_parser("tenants", help="show, export, import, rename and erase the tenants of a stack")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    listing = verbs.add_parser("list", help="list the tenants with their state, domains and schema version")
    listing.add_argument("--stack", help="only this stack (default: all)")
    listing.add_argument("--json", action="store_true", help="print JSON")
    listing.set_defaults(func=_list)
    work = verbs.add_parser(
        "reconcile",
        help="give each new row of public.tenants its schema, role, templates, host names and certificate",
        description="The timer's work. The exit status is 2 if there are rows that cannot be served; why is shown, "
        "and recorded in slipway.tenant_problems.",
    )
    work.add_argument("stack", metavar="STACK")
    work.add_argument("--now", action="store_true", help="try again at once what failed before")
    work.set_defaults(func=_reconcile)
    lifecycle.register(verbs)


def table(tenants: list[dict[str, Any]]) -> list[str]:
    """Lines for a terminal."""
    rows = [[_cell(column, tenant[column]) for column in COLUMNS] for tenant in tenants]
    widths = [max(map(len, column)) for column in zip(COLUMNS, *rows, strict=True)]
    return ["  ".join(map(str.ljust, line, widths)).rstrip() for line in [list(COLUMNS), *rows]]


def _list(args: argparse.Namespace) -> int:
    found = {stack: info.gather(connection) for stack, connection in configuration.stacks(args.stack).items()}
    if args.json:
        say(json.dumps(found, indent=2, sort_keys=True))
        return 0
    lines = [] if found else ["No stack of this host has tenants."]
    for stack, tenants in found.items():
        lines += [f"{stack}: {len(tenants)} tenants", *(f"  {line}" for line in table(tenants))]
    say("\n".join(lines))
    return 0


def _reconcile(args: argparse.Namespace) -> int:
    config = configuration.stacks(args.stack)[args.stack]
    if config.get("source") != "registry":
        raise SlipwayError(
            f"The tenants of {args.stack} are those in its inventory.",
            hint="Set tenants_source: registry and run playbooks/tenants.yml, so that sign-ups become tenants.",
        )
    # Two runs would both ask for the same certificates.
    with FileLock(problems.NOTES / f"{args.stack}.lock", wait=LOCK_WAIT, what=f"tenants of {args.stack}"):
        result = reconcile.reconcile(args.stack, config, Emitter.null(), now=args.now)
    for slug in result["changed"]:
        say(f"{args.stack}: tenant {slug} was brought up to date.")
    for problem in result["problems"]:
        complain(f"{args.stack}: {problem['name']!r} cannot be served since {problem['since']}: {problem['reason']}")
    return 2 if result["problems"] else 0


def _cell(column: str, value: Any) -> str:
    if column == "templates":
        return str(value[-1]) if value else "-"
    return "-" if value is None else str(value)
