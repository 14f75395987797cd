# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who was told what: one message when an alarm begins, one when it is over, a reminder now and then in between.

Each receiver has its own account: one that could not be reached is told later what the others know already.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from ..common import validate
from ..common.errors import SlipwayError
from ..common.files import read_json, write_json
from ..common.lock import FileLock
from .message import FIRING, RESOLVED, Alarm, Message, body
from .options import BACKUP, Receivers, Webhook, file_name, load
from .sender import send

STATE_DIRECTORY = Path("/var/lib/slipway/alerts")
MOMENT = "%Y-%m-%dT%H:%M:%SZ"
LOCK_WAIT = 300.0
Sender = Callable[[Webhook, dict[str, Any]], int]


@dataclass(frozen=True)
class Told:
    """What a receiver knows of one alarm."""

    alarm: Alarm
    since: str
    told: str


def plan(
    known: dict[str, Told], alarms: Sequence[Alarm], now: datetime, repeat_hours: float
) -> tuple[list[tuple[Told, bool]], list[Told]]:
    """What one receiver has to be told: alarms (with whether it is a reminder), and those that are over. Pure.

    An alarm whose words changed is the same one. One that became worse is told at once.
    """
    moment = now.astimezone(timezone.utc).strftime(MOMENT)
    firing = []
    for alarm in alarms:
        before = known.get(alarm.key)
        since = before.since if before else moment
        if before is None or before.alarm.severity != alarm.severity:
            firing.append((Told(alarm, since, moment), False))
        elif repeat_hours > 0 and now - _parsed(before.told) >= timedelta(hours=repeat_hours):
            firing.append((Told(alarm, since, moment), True))
    present = {alarm.key for alarm in alarms}
    return firing, [one for key, one in known.items() if key not in present]


def _parsed(text: str) -> datetime:
    return datetime.strptime(text, MOMENT).replace(tzinfo=timezone.utc)


class Ledger:
    """The accounts of all receivers of one stack and topic, in a file."""

    def __init__(self, stack: str, host: str, topic: str = BACKUP) -> None:
        self.stack = stack
        self.host = host
        self.path = STATE_DIRECTORY / file_name(stack, topic)
        found = self._read()
        self._known = {name: _accounts(found.get(name)) for name in found}

    def _read(self) -> dict[str, Any]:
        try:
            found = read_json(self.path, {})
        except ValueError:
            found = {}
        # What cannot be read is forgotten: an alarm that is told twice is better than one that is not told.
        return found if isinstance(found, dict) else {}

    def tell(
        self,
        receivers: Receivers,
        alarms: Sequence[Alarm],
        now: datetime,
        *,
        blind: bool = False,
        sender: Sender = send,
    ) -> list[str]:
        """Bring every receiver up to date; returns a sentence for each that could not be. Who is blind sees no end."""
        problems = []
        for hook in receivers.webhooks:
            known = self._known.setdefault(hook.name, {})
            firing, over = plan(known, alarms, now, receivers.repeat_hours)
            messages = [(FIRING, one, reminder) for one, reminder in firing]
            messages += [] if blind else [(RESOLVED, one, False) for one in over]
            problems += self._deliver(hook, known, messages, now, sender)
        names = {hook.name for hook in receivers.webhooks}
        self._known = {name: known for name, known in self._known.items() if name in names}
        self._write()
        return problems

    def _deliver(
        self,
        hook: Webhook,
        known: dict[str, Told],
        messages: Sequence[tuple[str, Told, bool]],
        now: datetime,
        sender: Sender,
    ) -> list[str]:
        moment = now.astimezone(timezone.utc).strftime(MOMENT)
        problems = []
        for status, one, reminder in messages:
            message = Message(status, one.alarm, self.stack, self.host, one.since, moment, reminder)
            try:
                sender(hook, body(hook, message))
            except SlipwayError as error:
                problems.append(str(error))
                if error.details.get("of_message"):
                    continue
                break
            if status == FIRING:
                known[one.alarm.key] = one
            else:
                del known[one.alarm.key]
            # At once: whoever is killed now must not tell it twice.
            self._write()
        return problems

    def _write(self) -> None:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_json(
            self.path,
            {name: {key: asdict(one) for key, one in known.items()} for name, known in self._known.items()},
        )


@contextmanager
def alone(stack: str, topic: str, what: str) -> Iterator[None]:
    """One look at a time: two would tell everything twice."""
    place = STATE_DIRECTORY / file_name(validate.stack_name(stack), topic, "lock")
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with FileLock(place, wait=LOCK_WAIT, what=what):
        yield


def tell(stack: str, topic: str, alarms: Sequence[Alarm], now: datetime, *, blind: bool) -> list[str]:
    """Bring the receivers that are configured up to date; returns a sentence for each that could not be."""
    try:
        return Ledger(stack, socket.gethostname(), topic).tell(load(stack, topic), alarms, now, blind=blind)
    except SlipwayError as error:
        return [str(error)]


def _accounts(found: Any) -> dict[str, Told]:
    try:
        known = {key: Told(Alarm(**one["alarm"]), one["since"], one["told"]) for key, one in found.items()}
        for one in known.values():
            _parsed(one.told)
    except (AttributeError, KeyError, TypeError, ValueError):
        return {}
    return known
