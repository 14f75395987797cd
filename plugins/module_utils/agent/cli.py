# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`slipway`: the command on the host. Each domain brings its own sub-commands and kinds of job."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence
from types import ModuleType

from ..common.errors import SlipwayError
from ..common.terminal import complain, say
from ..common.version import __version__
from . import jobs

# Timers call the command all day: each domain is read only where its command is asked for. Written out, and not by name
# through importlib, because that is how Ansible learns which files to carry to the host.


def _operations() -> ModuleType:
    from ..operations import commands

    return commands


def _release() -> ModuleType:
    from ..release import commands

    return commands


def _data() -> ModuleType:
    from ..release import data_commands

    return data_commands


def _tenants() -> ModuleType:
    from ..tenancy import commands

    return commands


def _certificates() -> ModuleType:
    from ..certbot import commands

    return commands


def _backup() -> ModuleType:
    from ..backup import commands

    return commands


def _wal() -> ModuleType:
    from ..backup.wal import commands

    return commands


def _recover() -> ModuleType:
    from ..recover import commands

    return commands


def _health() -> ModuleType:
    from ..probe import commands

    return commands


Domain = Callable[[], ModuleType]
COMMANDS: dict[str, Domain] = {
    "status": _operations,
    "logs": _operations,
    "exec": _operations,
    "ci": _operations,
    "release": _release,
    "edge": _release,
    "data": _data,
    "tenants": _tenants,
    "certificates": _certificates,
    "backup": _backup,
    "wal": _wal,
    "recover": _recover,
    "health": _health,
}
OWN = ("jobs", "follow", "job", "--version")
ALL = tuple(dict.fromkeys(COMMANDS.values()))


def handlers() -> dict[str, jobs.Handler]:
    """Every kind of job that this agent can do."""
    return {kind: handler for domain in ALL for kind, handler in getattr(domain(), "JOBS", {}).items()}


def endings() -> dict[str, jobs.Ending]:
    """How each kind of job is seen to after its process was killed."""
    return {kind: ending for domain in ALL for kind, ending in getattr(domain(), "ENDINGS", {}).items()}


def parser(domains: Sequence[Domain] = ALL) -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="slipway", description="Stacks, releases, tenants, backups and health of this host."
    )
    top.add_argument("--version", action="version", version=f"slipway {__version__}")
    sub = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for domain in domains:
        domain().register(sub)
    _register_jobs(sub)
    return top


def _register_jobs(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    listing = sub.add_parser("jobs", help="list the jobs on record, oldest first")
    listing.add_argument("stack", nargs="?", default="", metavar="STACK", help="only of this stack")
    listing.set_defaults(func=_jobs)
    follow = sub.add_parser(
        "follow",
        help="show a job's progress until it ends (default: the newest)",
        description="Shows what the job has told and goes on until it ends. The exit status is 0 if it succeeded.",
    )
    follow.add_argument("job", nargs="?", default="", metavar="STACK|JOB", help="the newest of a stack, or this job")
    follow.set_defaults(func=lambda args: jobs.follow(jobs.newest(args.job)))
    job = sub.add_parser("job", help="do a job's work, or see to its end (started by systemd)")
    job.add_argument("verb", choices=["run", "end"])
    job.add_argument("job")
    job.set_defaults(func=_job)


def _jobs(args: argparse.Namespace) -> int:
    for name in jobs.listing(args.stack):
        say(f"{name}  {jobs.view(name).state}  {jobs.note(name).get('label', '')}".rstrip())
    return 0


def _job(args: argparse.Namespace) -> int:
    return jobs.execute(args.job, handlers()) if args.verb == "run" else jobs.end(args.job, endings())


def _asked_for(words: Sequence[str]) -> Sequence[Domain]:
    first = words[0] if words else ""
    if first in OWN:
        return ()
    return (COMMANDS[first],) if first in COMMANDS else ALL


def main(argv: Sequence[str] | None = None) -> int:
    words = sys.argv[1:] if argv is None else argv
    args = parser(_asked_for(words)).parse_args(words)
    try:
        return int(args.func(args))
    except SlipwayError as error:
        complain(error)
        return 1
    except PermissionError as error:
        complain(f"You may not use {error.filename}. Run it with sudo.")
        return 1
    except BrokenPipeError:
        # Whoever read our answers (`head`) has enough; what is still buffered goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except KeyboardInterrupt:
        return 130
