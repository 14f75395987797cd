# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Look whether the backups of a stack are as they should be, tell whoever has to know, and write the metrics.

Started by a timer of its own, after each backup and verify, and by systemd when one of them ends badly.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timezone

from ..alerts import ledger, options
from ..alerts.message import FIRING, RESOLVED, WARNING, Alarm, Message, body
from ..alerts.options import BACKUP
from ..alerts.sender import send
from ..common.errors import SlipwayError
from ..common.process import run as run_program
from . import alarms, metrics

START_SECONDS = 30.0


def run(stack: str) -> tuple[list[Alarm], list[str]]:
    """The alarms there are, and a sentence for each thing that kept somebody from being told."""
    with ledger.alone(stack, BACKUP, f"look at the backups of {stack}"):
        now = datetime.now(timezone.utc)
        found, problems, blind = _look(stack, now)
        problems += ledger.tell(stack, BACKUP, found, now, blind=blind)
    return found, problems


def _look(stack: str, now: datetime) -> tuple[list[Alarm], list[str], bool]:
    """The alarms, what went wrong besides, and whether nothing could be seen: that is an alarm of its own."""
    try:
        facts = alarms.gather(stack)
        found = alarms.find(facts, now)
    except SlipwayError as error:
        return [_unseen(stack, str(error))], [], True
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return [_unseen(stack, f"{type(error).__name__}: {error}.")], [], True
    if facts.watch.metrics_directory:
        try:
            metrics.write(facts, len(found), now)
        except SlipwayError as error:
            return found, [str(error)], False
    return found, [], False


def _unseen(stack: str, problem: str) -> Alarm:
    return Alarm("check", f"The backups cannot be looked at. {problem}", f"slipway backup check {stack}")


def test(stack: str) -> list[str]:
    """Send every receiver an alarm that is none, and that it is over; returns what went wrong."""
    moment = datetime.now(timezone.utc).strftime(ledger.MOMENT)
    alarm = Alarm("test", "This is a test, nothing is wrong.", "Nothing is to be done.", WARNING)
    problems = []
    for hook in options.load(stack).webhooks:
        try:
            for status in (FIRING, RESOLVED):
                send(hook, body(hook, Message(status, alarm, stack, socket.gethostname(), moment, moment)))
        except SlipwayError as error:
            problems.append(str(error))
    return problems


def unit(stack: str) -> str:
    return f"slipway-backup-check@{stack}.service"


@contextmanager
def afterwards(stack: str) -> Iterator[None]:
    """However the work ends, have it looked at by a unit of its own: it waits for no webhook and fails by none."""
    try:
        yield
    finally:
        # Without systemd there is no unit; the timer's next turn does it.
        with suppress(SlipwayError):
            run_program(["systemctl", "start", "--no-block", unit(stack)], timeout=START_SECONDS, check=False)
