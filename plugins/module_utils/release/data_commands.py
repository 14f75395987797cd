# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`slipway data list|back`, and the job that changes data services."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from ..common import validate
from ..common.errors import SlipwayError
from ..common.events import Emitter, sentence
from ..common.terminal import say
from . import data_services, definitions
from .paths import StackPaths
from .store import Store

JOBS: dict[str, Callable[[dict[str, Any], Emitter], dict[str, Any]]] = {
    f"release.{data_services.ACTION}": lambda request, emitter: data_services.run(
        {**request, "action": data_services.ACTION}, emitter
    ),
}


def register(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = sub.add_parser("data", help="data services of a stack")
    verbs = command.add_subparsers(dest="verb", required=True, metavar="VERB")
    listing = verbs.add_parser("list", help="show what each data service runs with, and what it ran with before")
    listing.add_argument("stack")
    listing.set_defaults(func=_list)
    back = verbs.add_parser("back", help="give a data service the definition, image and volumes of before")
    back.add_argument("stack")
    back.add_argument("service")
    back.add_argument(
        "--confirm", default="", metavar="STACK", help="what was written since to a new volume is left out"
    )
    back.set_defaults(func=_back)


def _paths(stack: str) -> StackPaths:
    paths = StackPaths(validate.stack_name(stack))
    if not paths.state.exists():
        raise SlipwayError(f"There is no stack {stack} on this host.", hint="List them with: slipway status")
    return paths


def _list(args: argparse.Namespace) -> int:
    paths = _paths(args.stack)
    for service in sorted(Store(paths).state().data_definitions):
        for word, which in (("now", definitions.CURRENT), ("before", definitions.BEFORE)):
            found = definitions.read(paths, service, which)
            if found:
                volumes = ", ".join(sorted(found.volumes.values())) or "no volume"
                say(f"{service:16} {word:7} {found.image}  {volumes}")
    return 0


def _back(args: argparse.Namespace) -> int:
    paths = _paths(args.stack)
    now, before = (definitions.read(paths, args.service, which) for which in (definitions.CURRENT, definitions.BEFORE))
    if now and before and dict(now.volumes) != dict(before.volumes) and args.confirm != args.stack:
        raise SlipwayError(
            f"{args.service} would go back to the volume {', '.join(before.volumes.values())}: what was written to "
            f"{', '.join(now.volumes.values())} since is not in it.",
            hint=f"Say that you mean it with --confirm {args.stack}",
        )
    done = data_services.back(
        args.stack, args.service, Emitter(lambda event: say(sentence(event))), "slipway data back"
    )
    say(f"{done['service']} runs with {done['image']} again.")
    return 0
