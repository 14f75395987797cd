# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`slipway status`: what serves on this host, in a few lines."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from ..common.files import read_json
from ..common.terminal import say

STACKS_DIRECTORY = Path("/srv")


def stacks() -> list[dict[str, Any]]:
    """Every stack of this host with its recorded state, by name."""
    found = []
    for path in sorted(STACKS_DIRECTORY.glob("*/state.json")):
        state = read_json(path)
        if isinstance(state, dict):
            found.append({"stack": path.parent.name, **state})
    return found


def describe(state: dict[str, Any]) -> str:
    active = state.get("active") or {}
    serving = f"release {active['release']} in slot {active['slot']}" if active else "no release yet"
    phase = state.get("phase", "idle")
    return f"{state['stack']}: {serving}" + ("" if phase == "idle" else f", a release is at phase {phase}")


def register(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = sub.add_parser("status", help="show what serves on this host")
    command.add_argument("--json", action="store_true", help="print it as JSON")
    command.set_defaults(func=_status)


def _status(args: argparse.Namespace) -> int:
    found = stacks()
    if args.json:
        say(json.dumps(found, indent=2, sort_keys=True))
        return 0
    say("\n".join(describe(state) for state in found) or "No stack on this host.")
    return 0
