# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`slipway wal status|ship|base|restore|stop|drop`, and the kind of job that the module starts."""

from __future__ import annotations

import argparse
import json
import signal
import threading
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from types import FrameType
from typing import Any

from ...common.errors import SlipwayError
from ...common.events import Emitter, sentence
from ...common.process import run
from ...common.terminal import complain, say
from ...common.version import __version__
from .. import check, engine, record, verify
from ..parameters import specification
from ..restore import BESIDE, IN_PLACE
from ..spec import Spec
from . import options, prune, restore, status
from .archive import parse_moment
from .options import KIND, WalOptions, spool_directory
from .receiver import Receiver
from .server import Server
from .shipper import Shipper

START_SECONDS = 30
LATE_SECONDS = 60.0
VERSION_FILE = Path("/usr/lib/slipway/VERSION")


def restore_job(request: dict[str, Any], emitter: Emitter) -> dict[str, Any]:
    wanted = options.checked(specification({**request, "kind": KIND}))
    return restore.run(wanted, restore.Request.from_dict(request), emitter)


JOBS: dict[str, Callable[[dict[str, Any], Emitter], dict[str, Any]]] = {"wal.restore": restore_job}


def register(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = sub.add_parser("wal", help="point in time: ship the database's log, restore to a moment")
    verbs = command.add_subparsers(dest="verb", required=True, metavar="VERB")
    shown = _verb(verbs, "status", "how far the log in the bucket reaches", _on_status)
    shown.add_argument("--json", action="store_true", help="print it as JSON")
    _verb(verbs, "ship", "receive and ship the log until stopped (the service does)", _on_ship)
    base = _verb(verbs, "base", "make a base backup, and delete log that no base backup needs", _on_base)
    base.add_argument("--no-verify", action="store_true", help="do not read it back")
    back = _verb(verbs, "restore", "bring the server back as it was at a moment", _on_restore)
    back.add_argument("--time", default=restore.NEWEST, help="like 2026-11-21T12:00:00Z (default: the newest moment)")
    back.add_argument("--id", default="", help="base backup to begin at (default: the best one)")
    back.add_argument("--timeline", type=int, help="timeline to follow (default: the newest)")
    back.add_argument("--target", choices=(BESIDE, IN_PLACE), default=BESIDE)
    back.add_argument("--confirm", default="", metavar="STACK", help="the stack's name, for --target in_place")
    back.add_argument("--plan", action="store_true", help="only say what it would take")
    _verb(verbs, "stop", "end the receiver; the log waits at the server", _on_stop)
    _verb(verbs, "drop", "end the receiver and give up the replication slot", _on_drop)


def _verb(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    text: str,
    func: Callable[[argparse.Namespace], int],
) -> argparse.ArgumentParser:
    verb = verbs.add_parser(name, help=text)
    verb.add_argument("stack", help="the stack's name, see /etc/slipway/backup")
    verb.set_defaults(func=func)
    return verb


def _emitter() -> Emitter:
    return Emitter(lambda event: say(sentence(event)))


def _stoppable() -> Emitter:
    """SIGTERM becomes an exception, so that what is half done is removed on the way out."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise SlipwayError(f"The work was stopped by signal {number}.", hint="Start it again.")

    signal.signal(signal.SIGTERM, stop)
    return _emitter()


def _on_ship(args: argparse.Namespace) -> int:
    spec = options.load(args.stack)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_ignored: stop.set())
    emitter = _emitter()

    def base_wanted(reason: str) -> None:
        emitter.info(f"A base backup is made, because {reason}.")
        unit = f"slipway-base@{spec.stack}.service"
        started = run(["systemctl", "start", "--no-block", unit], timeout=START_SECONDS, check=False)
        if started.rc != 0:
            emitter.info(f"{unit} cannot be started. Make one with: slipway wal base {spec.stack}")

    Shipper(spec, WalOptions.from_dict(spec.settings), emitter, base_wanted).run(stop, _is_installed)
    return 0


def _is_installed() -> bool:
    """Whether this is still the agent that is installed; the service starts the new one."""
    try:
        return VERSION_FILE.read_text(encoding="utf-8").strip() == __version__
    except OSError:
        return True


def make_base(spec: Spec, emitter: Emitter, *, read_back: bool) -> dict[str, Any]:
    """A base backup, its proof, and then the retention of the log."""
    made = engine.run(spec, emitter)
    identity = str(made["backup"]["id"])
    if read_back:
        try:
            verify.verify(spec, identity, emitter)
        except SlipwayError as error:
            record.failure(spec, record.VERIFY, str(error))
            raise
        record.verified(spec, identity)
    made["log_deleted"] = prune.run(spec, str(made["backup"]["details"]["system"]), made["warnings"])
    return made


def _on_base(args: argparse.Namespace) -> int:
    spec = options.load(args.stack)
    readable = not spec.encrypted or bool(spec.identity_file)
    with check.afterwards(args.stack):
        made = make_base(spec, _stoppable(), read_back=readable and not args.no_verify)
    for warning in made["warnings"]:
        complain(warning)
    return 0


def _on_restore(args: argparse.Namespace) -> int:
    spec = options.load(args.stack)
    request = restore.Request.from_dict(vars(args))
    if args.plan:
        say(json.dumps(restore.describe(restore.plan(spec, request), request), indent=2, sort_keys=True))
        return 0
    if request.target == IN_PLACE and args.confirm != spec.stack:
        raise SlipwayError(
            f"Restoring in place replaces the live data of {spec.stack}.",
            hint=f"Say that you mean it with --confirm {spec.stack}.",
        )
    result = restore.run(spec, request, _stoppable())["restore"]
    say(f"Restored to {result['reached'] or result['time']} in container {result['container']}.")
    if result["before"]:
        say(f"What was replaced is kept in {result['before']}.")
    return 0


def _on_status(args: argparse.Namespace) -> int:
    spec = options.load(args.stack)
    known = status.read(spec.stack)
    if args.json:
        say(json.dumps(known, indent=2, sort_keys=True))
        return 0
    if not known:
        say(f"The log of {spec.stack} was never shipped. Start it: systemctl start slipway-wal@{spec.stack}")
        return 1
    covered = parse_moment(known["covered"])
    behind = (datetime.now(timezone.utc) - covered).total_seconds() if covered else None
    if behind is None:
        say("Nothing is in the bucket yet.")
    else:
        say(f"Everything committed before {known['covered']} is in the bucket: {behind:.1f} s ago.")
    say(f"Behind the server: {known['lag_bytes']} bytes. Spool: {known['spool_bytes']} bytes.")
    slot = known["slot"]
    say(f"Slot: {slot.get('status') or 'none'}, {'active' if slot.get('active') else 'not active'}.")
    if known["base_wanted"]:
        say(f"A base backup is needed: {known['base_wanted']}.")
    if known["failure"]:
        complain(known["failure"])
    return 1 if known["failure"] or behind is None or behind > LATE_SECONDS else 0


def _receiver(spec: Spec) -> Receiver:
    return Receiver(spec, WalOptions.from_dict(spec.settings), spool_directory(spec))


def _on_stop(args: argparse.Namespace) -> int:
    receiver = _receiver(options.load(args.stack))
    receiver.stop()
    receiver.close()
    return 0


def _on_drop(args: argparse.Namespace) -> int:
    spec = options.load(args.stack)
    _on_stop(args)
    server = Server(spec.postgres, WalOptions.from_dict(spec.settings))
    server.drop_slot()
    server.close()
    return 0
