# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`slipway logs`, `exec` and `status`: day two on the host."""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

from ..common.errors import SlipwayError
from ..common.events import Emitter
from ..common.terminal import say
from ..release.paths import SLOTS
from . import ci, logs, oneoff, selection, shell, status

DEFAULT_LINES = 100
JOBS: dict[str, Callable[[dict[str, Any], Emitter], dict[str, Any]]] = {"operations.run": oneoff.run}


def register(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    _register_status(sub)
    _register_logs(sub)
    _register_exec(sub)
    command = sub.add_parser("ci", help="do what a deploy key asks for (started by sshd)")
    command.add_argument("stack", metavar="STACK")
    command.add_argument("key", metavar="KEY")
    command.set_defaults(func=lambda args: ci.run(args.stack, args.key, os.environ.get(ci.ORIGINAL, "")))


def _register_status(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = sub.add_parser(
        "status",
        help="show what serves on this host, and how it is",
        description="Release, slot, containers with their health, the last release's result, maintenance, lock and "
        "whatever is not as it should be. The exit status is 0 also when there are warnings.",
    )
    command.add_argument("stack", nargs="?", metavar="STACK", help="only this stack (default: all)")
    command.add_argument("--json", action="store_true", help="print it as JSON")
    command.set_defaults(func=_status)


def _register_logs(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = sub.add_parser(
        "logs",
        help="show the logs of a stack's containers",
        description="The lines of all replicas, and of the data services, in the order in which they were written.",
        epilog="examples: slipway logs shop api --since 15m --grep 'status=5..' ; slipway logs shop --follow",
    )
    command.add_argument("stack", metavar="STACK")
    command.add_argument("services", nargs="*", metavar="SERVICE", help="only these services (default: all)")
    command.add_argument("--since", default="", metavar="TIME", help="30s, 15m, 2h, 1d or 2026-11-21T05:00:00Z")
    command.add_argument(
        "--lines", type=int, default=DEFAULT_LINES, metavar="N", help=f"newest lines (default: {DEFAULT_LINES})"
    )
    command.add_argument("--grep", default="", metavar="REGEX", help="only lines in which this is found")
    command.add_argument("--timestamps", action="store_true", help="show when each line was written (UTC)")
    command.add_argument(
        "--follow", "-f", action="store_true", help="go on with new lines, also of the next release when it takes over"
    )
    _add_choice(command)
    command.set_defaults(func=_logs)


def _register_exec(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = sub.add_parser(
        "exec",
        help="run a command in a container of the release that serves",
        description="Interactive when there is a terminal. The exit status is the command's own.",
        epilog="examples: slipway exec shop api ; slipway exec shop postgres -- psql -U shop -c 'SELECT 1'",
    )
    command.add_argument("stack", metavar="STACK")
    command.add_argument("service", metavar="SERVICE")
    # Everything after the service belongs to the command, so that its options need no quoting.
    command.add_argument("words", nargs=argparse.REMAINDER, metavar="-- COMMAND", help="a shell (sh) when left out")
    command.add_argument("--replica", type=int, default=1, metavar="N", help="which replica (default: 1)")
    command.add_argument("--user", default="", metavar="USER", help="as this user of the container")
    _add_choice(command)
    command.set_defaults(func=_exec)


def _add_choice(command: argparse.ArgumentParser) -> None:
    which = command.add_mutually_exclusive_group()
    which.add_argument("--slot", default="", choices=SLOTS, help="of this slot, whether it serves or not")
    which.add_argument("--release", default="", metavar="NAME", help="of this release, by name or number")


def _status(args: argparse.Namespace) -> int:
    found = [status.gather(name) for name in ([args.stack] if args.stack else status.stacks())]
    if args.json:
        say(json.dumps(found, indent=2, sort_keys=True))
        return 0
    now = datetime.now(timezone.utc)
    say("\n\n".join("\n".join(status.describe(stack, now)) for stack in found) or "No stack on this host.")
    return 0


def _logs(args: argparse.Namespace) -> int:
    if args.lines < 0:
        raise SlipwayError(f"--lines is {args.lines}.", hint="Use 0 or more.")
    choice = selection.Choice(args.slot, args.release, tuple(args.services))
    wish = logs.Wish(
        args.lines,
        logs.since(args.since, time.time()) if args.since else None,
        logs.pattern(args.grep) if args.grep else None,
    )
    host = selection.host_of(args.stack)
    entries = selection.containers(host, choice)
    if not entries:
        raise SlipwayError(
            f"The stack {args.stack} has no containers there.", hint=f"Look: slipway status {args.stack}"
        )
    width = max(len(selection.label(entry, args.stack)) for entry in entries)

    def show(line: logs.Line) -> None:
        say(logs.text(line, width, with_moment=args.timestamps))

    if args.follow:
        logs.Follower(host, choice, wish).run(show)
        return 0
    for line in logs.recent(host, entries, wish):
        show(line)
    return 0


def _exec(args: argparse.Namespace) -> int:
    choice = selection.Choice(args.slot, args.release, (args.service,))
    command = without_dashes(args.words)
    return shell.run(selection.host_of(args.stack), choice, args.replica, command, args.user)


def without_dashes(words: list[str]) -> list[str]:
    """The command after `--`, which some versions of Python take out themselves."""
    return words[1:] if words[:1] == ["--"] else words
