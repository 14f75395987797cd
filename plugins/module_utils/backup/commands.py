# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`slipway backup run|list|verify|drill`, and the kinds of job that modules start."""

from __future__ import annotations

import argparse
import json
import signal
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from types import FrameType
from typing import Any

from ..common.errors import SlipwayError
from ..common.events import Emitter, sentence
from ..common.terminal import complain, say
from . import catalog, check, drill, engine, record, restoration, restore, restore_kind, spec, verify
from .parameters import specification
from .registry import KINDS
from .spec import Spec
from .store import stores

MEGABYTE = 1_000_000
ALL = "all"
# Exit status of `check`.
ALARMS = 2


def _run_job(request: dict[str, Any], emitter: Emitter) -> dict[str, Any]:
    wanted = specification(request)
    with check.afterwards(wanted.stack):
        result = engine.run(wanted, emitter)
        if request.get("verify"):
            result["verified"] = _verify(wanted, result["backup"]["id"], emitter)
    return result


def _restore_job(request: dict[str, Any], emitter: Emitter) -> dict[str, Any]:
    wanted = specification(request)
    if wanted.kind == "postgres":
        return restore.run(wanted, restore.Request.from_dict(request), emitter)
    return restore_kind.run(wanted, restoration.Request.from_dict(request), emitter)


def _verify_job(request: dict[str, Any], emitter: Emitter) -> dict[str, Any]:
    wanted = specification(request)
    with check.afterwards(wanted.stack):
        return _verify(wanted, str(request.get("id") or catalog.LATEST), emitter)


def _verify(wanted: Spec, identity: str, emitter: Emitter, *, sealed_too: bool = False) -> dict[str, Any]:
    try:
        result = verify.verify(wanted, identity, emitter, sealed_too=sealed_too)
    except SlipwayError as error:
        record.failure(wanted, record.VERIFY, str(error))
        raise
    if result["sealed"]:
        record.confirmed(wanted, result["id"])
    else:
        record.verified(wanted, result["id"])
    return result


def _drill_job(request: dict[str, Any], emitter: Emitter) -> dict[str, Any]:
    wanted = specification(request)
    with check.afterwards(wanted.stack):
        return drill.run(wanted, str(request.get("id") or catalog.LATEST), emitter)


def _see_to_drill(stack: str, _emitter: Emitter) -> str:
    """After a job that was killed."""
    for one in _drillable(stack):
        drill.clean_up(one)
    return "What the drill had made is removed."


JOBS: dict[str, Callable[[dict[str, Any], Emitter], dict[str, Any]]] = {
    "backup.run": _run_job,
    "backup.restore": _restore_job,
    "backup.verify": _verify_job,
    "backup.drill": _drill_job,
}
ENDINGS: dict[str, Callable[[str, Emitter], str]] = {"backup.drill": _see_to_drill}


def register(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = sub.add_parser("backup", help="make, list, verify and drill backups")
    verbs = command.add_subparsers(dest="verb", required=True, metavar="VERB")
    _verb(verbs, "run", "make a backup now", _on_run)
    listing = _verb(verbs, "list", "show the backups of a stack", _on_list)
    listing.add_argument("--json", action="store_true", help="print them as JSON")
    names = _verb(verbs, "contents", "show every name in a backup of files or state", _on_contents)
    names.add_argument("--id", default=catalog.LATEST, help="which one (default: the newest)")
    proof = _verb(verbs, "verify", "read a backup back in full", _on_verify, (ALL,))
    proof.add_argument("--id", default=catalog.LATEST, help="which one (default: the newest)")
    look = verbs.add_parser("check", help="look whether all is well, and tell the webhooks and the metrics")
    look.add_argument("stack", help="the stack's name, see /etc/slipway/backup")
    look.add_argument("--test", action="store_true", help="send every webhook a test instead")
    look.set_defaults(func=_on_check)
    trial = _verb(verbs, "drill", "restore a backup where nothing serves, compare it, remove it", _on_drill, (ALL,))
    trial.add_argument("--id", default=catalog.LATEST, help="which one (default: the newest)")
    trial.add_argument("--clean", action="store_true", help="only remove what a killed drill left")


def _verb(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    text: str,
    func: Callable[[argparse.Namespace], int],
    more_kinds: Sequence[str] = (),
) -> argparse.ArgumentParser:
    verb = verbs.add_parser(name, help=text)
    verb.add_argument("stack", help="the stack's name, see /etc/slipway/backup")
    kinds = [*sorted(KINDS), *more_kinds]
    verb.add_argument("--kind", choices=kinds, default="postgres", help="what of it (default: the database)")
    verb.set_defaults(func=func)
    return verb


def _emitter() -> Emitter:
    # SIGTERM (systemctl stop, shutdown) becomes an exception, so that the upload is aborted on the way out.
    signal.signal(signal.SIGTERM, _stop)
    return Emitter(lambda event: say(sentence(event)))


def _stop(number: int, frame: FrameType | None) -> None:
    raise SlipwayError(f"The work was stopped by signal {number}.", hint="Start it again: slipway backup --help")


def _on_run(args: argparse.Namespace) -> int:
    with check.afterwards(args.stack):
        for warning in engine.run(spec.load(args.stack, args.kind), _emitter())["warnings"]:
            complain(warning)
    return 0


def _on_verify(args: argparse.Namespace) -> int:
    with check.afterwards(args.stack):
        return _verify_kinds(args, _emitter())


def _verify_kinds(args: argparse.Namespace, emitter: Emitter) -> int:
    if args.kind != ALL:
        _verify(spec.load(args.stack, args.kind), args.id, emitter)
        return 0
    failed = [kind for kind in spec.kinds(args.stack) if not _verified(spec.load(args.stack, kind), emitter)]
    return 1 if failed else 0


def _verified(wanted: Spec, emitter: Emitter) -> bool:
    """One kind that cannot be read is no reason not to look at the others."""
    try:
        # A host that was given no key on purpose does not fail every morning for it.
        _verify(wanted, catalog.LATEST, emitter, sealed_too=True)
    except SlipwayError as error:
        complain(f"{wanted.kind}: {error}")
        return False
    return True


def _on_check(args: argparse.Namespace) -> int:
    if args.test:
        problems = check.test(args.stack)
    else:
        found, problems = check.run(args.stack)
        for alarm in found:
            say(f"{alarm.severity}: {alarm.summary} {alarm.hint}")
        if not found:
            say(f"The backups of {args.stack} are as they should be.")
    for problem in problems:
        complain(problem)
    # 1: somebody was not told. 2: there are alarms, and whoever has to know was told.
    return 1 if problems else 0 if args.test else ALARMS if found else 0


def _on_drill(args: argparse.Namespace) -> int:
    if args.clean:
        return _drill(args, _emitter())
    with check.afterwards(args.stack):
        return _drill(args, _emitter())


def _drill(args: argparse.Namespace, emitter: Emitter) -> int:
    if args.kind != ALL:
        return 0 if _drilled(spec.load(args.stack, args.kind), args, emitter) else 1
    every = _drillable(args.stack)
    wanted = [one for one in every if args.clean or not one.drill.kinds or one.kind in one.drill.kinds]
    return 1 if [one for one in wanted if not _drilled(one, args, emitter)] else 0


def _drillable(stack: str) -> list[Spec]:
    return [spec.load(stack, kind) for kind in spec.kinds(stack) if kind in drill.TRIALS]


def _drilled(wanted: Spec, args: argparse.Namespace, emitter: Emitter) -> bool:
    """As with `verify`: one kind that does not come back is no reason not to look at the others."""
    try:
        if args.clean:
            drill.clean_up(wanted)
        else:
            # What the team has promised is part of what a drill proves.
            missed = drill.run(wanted, args.id, emitter)["drill"]["missed"]
            for sentence in missed:
                complain(f"{wanted.kind}: {sentence}")
            return not missed
    except SlipwayError as error:
        complain(f"{wanted.kind}: {error}")
        return False
    return True


def _on_contents(args: argparse.Namespace) -> int:
    say(restore_kind.contents(spec.load(args.stack, args.kind), args.id))
    return 0


def _on_list(args: argparse.Namespace) -> int:
    now = datetime.now(timezone.utc)
    damaged: list[str] = []
    backups = [one.as_dict(now) for one in catalog.entries(stores(spec.load(args.stack, args.kind)), damaged)]
    for problem in damaged:
        complain(problem)
    if args.json:
        say(json.dumps(backups, indent=2, sort_keys=True))
        return 0
    say("\n".join(_row(one) for one in backups) or f"The stack {args.stack} has no backup.")
    return 0


def _row(one: dict[str, Any]) -> str:
    proof = "restored" if one["restored"] else "verified" if one["verified"] else "stored"
    where = "+".join(one["copies"]) or "no complete copy"
    damaged = f"  DAMAGED in {'+'.join(one['damaged_copies'])}" if one["damaged_copies"] else ""
    return f"{one['id']}  {one['created']}  {one['bytes'] / MEGABYTE:10.1f} MB  {proof:8}  {where}{damaged}"
