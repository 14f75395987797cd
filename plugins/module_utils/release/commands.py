# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`slipway release ...`, and the jobs of the release engine."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from typing import Any

from ..common import validate
from ..common.errors import SlipwayError
from ..common.events import Emitter, sentence
from ..common.files import remove
from ..common.process import run
from ..common.terminal import complain, say
from . import edge, engine, history, recovery
from .host import Host
from .paths import StackPaths

BOOT_LOCK_SECONDS = 600


def _job(action: str) -> Callable[[dict[str, Any], Emitter], dict[str, Any]]:
    return lambda request, emitter: engine.release({**request, "action": action}, emitter)


JOBS: dict[str, Callable[[dict[str, Any], Emitter], dict[str, Any]]] = {
    "release.deploy": _job("deploy"),
    "release.rollback": _job("rollback"),
    "release.rotate": _job("rotate"),
}


def _see_to(stack: str, emitter: Emitter) -> str:
    """A release whose process was killed is finished or reverted at once, without anybody asking for it."""
    host = Host(StackPaths(validate.stack_name(stack)), emitter)
    if not host.paths.root.is_dir():
        return ""
    with host.lock(f"recovery of {stack}", BOOT_LOCK_SECONDS, "the agent"):
        recovery.recover(host)
    return history.how_it_stands(stack, host.paths)


ENDINGS: dict[str, Callable[[str, Emitter], str]] = dict.fromkeys(JOBS, _see_to)


def register(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    _register_edge(sub)
    command = sub.add_parser("release", help="releases of a stack")
    verbs = command.add_subparsers(dest="verb", required=True, metavar="VERB")
    listing = verbs.add_parser("list", help="show the releases of a stack, newest first")
    listing.add_argument("stack")
    listing.add_argument("--json", action="store_true", help="print them as JSON")
    listing.add_argument("--long", action="store_true", help="with the seconds of each phase and the image digests")
    listing.set_defaults(func=_list)
    boot = verbs.add_parser("boot", help="bring the active release up and finish or revert what was cut off")
    boot.add_argument("stack")
    boot.set_defaults(func=_boot)
    back = verbs.add_parser("rollback", help="go back to the release before, or to the one that is named")
    back.add_argument("stack")
    back.add_argument("release", nargs="?", default="")
    back.add_argument("--force", action="store_true", help="also across a release marked as contract")
    back.add_argument(
        "--secrets", choices=["current", "release"], default="current", help="today's, or those of that release"
    )
    back.set_defaults(func=_rollback)
    unlock = verbs.add_parser("unlock", help="say who holds the lock of a stack; with --force, end that process")
    unlock.add_argument("stack")
    unlock.add_argument("--force", action="store_true", help="end the process that holds it")
    unlock.set_defaults(func=_unlock)


def _paths(args: argparse.Namespace) -> StackPaths:
    paths = StackPaths(validate.stack_name(args.stack))
    if not paths.root.is_dir():
        raise SlipwayError(f"There is no stack {args.stack} on this host.", hint="List them with: slipway status")
    return paths


def _tell() -> Emitter:
    return Emitter(lambda event: say(sentence(event)))


def _list(args: argparse.Namespace) -> int:
    found = history.overview(args.stack, _paths(args))
    releases = found["releases"]
    say(json.dumps(releases, indent=2, sort_keys=True) if args.json else history.table(releases, long=args.long))
    if found["audit"]:
        complain(found["audit"])
    return 1 if found["audit"] else 0


def _register_edge(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = sub.add_parser("edge", help="Nginx on this host")
    verbs = command.add_subparsers(dest="verb", required=True, metavar="VERB")
    again = verbs.add_parser("reload", help="have Nginx read its configuration again without losing a request")
    again.set_defaults(func=_reload)


def _reload(_args: argparse.Namespace) -> int:
    edge.reload_for_others()
    return 0


def _boot(args: argparse.Namespace) -> int:
    host = Host(_paths(args), _tell())
    with host.lock(f"boot of {args.stack}", BOOT_LOCK_SECONDS, "boot"):
        recovery.recover(host)
        if not recovery.reconcile(host):
            say(f"No release of {args.stack} serves yet.")
    return 0


def _rollback(args: argparse.Namespace) -> int:
    _paths(args)
    request = {
        "stack": args.stack,
        "action": "rollback",
        "rollback_to": args.release,
        "force": args.force,
        "rollback_secrets": args.secrets,
        "requested_by": "slipway release rollback",
    }
    done = engine.release(request, _tell())
    say(f"Release {done['release_name']} (number {done['release']}) serves from slot {done['slot']}.")
    return 0


def _unlock(args: argparse.Namespace) -> int:
    host = Host(_paths(args), Emitter.null())
    lock = host.lock("unlock", 0.0)
    note = lock.holder()
    try:
        with lock:
            say(f"Nobody holds the lock of {args.stack}; the kernel frees it when its holder ends.")
        return 0
    except SlipwayError as refusal:
        if not args.force or not note:
            complain(refusal)
            return 1
    run(["kill", "-TERM", str(int(note["pid"]))], timeout=10)
    remove(lock.holder_path)
    say(f"Process {note['pid']} ({note.get('what')}) was told to end; it puts back what it had begun.")
    return 0
