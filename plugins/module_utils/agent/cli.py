# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`slipway`: the command on the host. Each domain brings its own sub-commands and kinds of job."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence

from ..backup import commands as backup
from ..backup.wal import commands as wal
from ..certbot import commands as certificates
from ..common.errors import SlipwayError
from ..common.terminal import complain, say
from ..common.version import __version__
from ..operations import commands as operations
from ..probe import commands as probe
from ..recover import commands as recover
from ..release import commands as release
from ..release import data_commands as data
from ..tenancy import commands as tenancy
from . import jobs

DOMAINS = (operations, release, data, tenancy, certificates, backup, wal, recover, probe)


def handlers() -> dict[str, jobs.Handler]:
    """Every kind of job that this agent can do."""
    return {kind: handler for domain in DOMAINS for kind, handler in getattr(domain, "JOBS", {}).items()}


def endings() -> dict[str, jobs.Ending]:
    """How each kind of job is seen to after its process was killed."""
    return {kind: ending for domain in DOMAINS for kind, ending in getattr(domain, "ENDINGS", {}).items()}


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="slipway", description="Stacks, releases, tenants, backups and health of this host."
    )
    top.add_argument("--version", action="version", version=f"slipway {__version__}")
    sub = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for domain in DOMAINS:
        domain.register(sub)
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


def main(argv: Sequence[str] | None = None) -> int:
    args = parser().parse_args(argv)
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
