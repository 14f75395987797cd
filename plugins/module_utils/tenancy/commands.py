# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`slipway tenants`: the tenants of this host's stacks. Role `tenants` leaves the connection of each stack here."""

from __future__ import annotations

import argparse
import json
from typing import Any

from ..common.errors import SlipwayError
from ..common.files import read_json
from ..common.terminal import say
from . import info
from .target import DIRECTORY

COLUMNS = ("slug", "state", "subdomain", "custom_domain", "plan", "schema", "tables", "templates")


def register(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = sub.add_parser("tenants", help="show the tenants of a stack")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    listing = verbs.add_parser("list", help="list the tenants with their state, domains and schema version")
    listing.add_argument("--stack", help="only this stack (default: all)")
    listing.add_argument("--json", action="store_true", help="print JSON")
    listing.set_defaults(func=_list)


def stacks(only: str | None) -> dict[str, dict[str, Any]]:
    """The connections on record, by stack."""
    known = {path.stem: read_json(path) for path in sorted(DIRECTORY.glob("*.json"))}
    if only is not None and only not in known:
        raise SlipwayError(
            f"No tenants of a stack {only} are on record on this host.",
            hint="Run playbooks/tenants.yml for it first." if not known else f"Known are: {', '.join(known)}.",
        )
    return {stack: connection for stack, connection in known.items() if only in (None, stack)}


def table(tenants: list[dict[str, Any]]) -> list[str]:
    """Lines for a terminal."""
    rows = [[_cell(column, tenant[column]) for column in COLUMNS] for tenant in tenants]
    widths = [max(map(len, column)) for column in zip(COLUMNS, *rows, strict=True)]
    return ["  ".join(map(str.ljust, line, widths)).rstrip() for line in [list(COLUMNS), *rows]]


def _list(args: argparse.Namespace) -> int:
    found = {stack: info.gather(connection) for stack, connection in stacks(args.stack).items()}
    if args.json:
        say(json.dumps(found, indent=2, sort_keys=True))
        return 0
    lines = [] if found else ["No stack of this host has tenants."]
    for stack, tenants in found.items():
        lines += [f"{stack}: {len(tenants)} tenants", *(f"  {line}" for line in table(tenants))]
    say("\n".join(lines))
    return 0


def _cell(column: str, value: Any) -> str:
    if column == "templates":
        return str(value[-1]) if value else "-"
    return "-" if value is None else str(value)
