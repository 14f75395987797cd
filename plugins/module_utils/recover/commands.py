# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`slipway recover`, and the jobs of a recovery."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from ..common import validate
from ..common.events import Emitter
from ..common.terminal import complain, say
from . import data, state
from .survey import survey

MEGABYTE = 1_000_000

JOBS: dict[str, Callable[[dict[str, Any], Emitter], dict[str, Any]]] = {
    "recover.state": state.begin,
    "recover.data": data.finish,
}


def register(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = sub.add_parser("recover", help="what of a lost server is in the bucket")
    command.add_argument("stack", help="the stack's name, see /etc/slipway/backup")
    command.add_argument("--time", default="", help="as it was at this moment, like 2026-11-21T12:00:00Z")
    command.add_argument("--identity", default="", metavar="FILE", help="age identity that reads encrypted backups")
    command.set_defaults(func=_show)


def _show(args: argparse.Namespace) -> int:
    found = survey(validate.stack_name(args.stack), identity_file=args.identity, time=args.time)
    for one in found.choices.values():
        say(f"{one.kind:9} {one.id}  up to {one.until}  {one.bytes / MEGABYTE:10.1f} MB")
    for text in found.missing:
        complain(text)
    say("Bring it back on a bare server with: ansible-playbook slipway.vps.recover")
    return 0
