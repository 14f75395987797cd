# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which backups may go. A pure plan: nothing here touches a store.

A backup goes only when it is older than the policy keeps *and* a newer verified one replaces it. So the newest backup
stays, the newest verified one stays, and where nothing is verified nothing goes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any

from ..common.errors import SlipwayError


@dataclass(frozen=True)
class Policy:
    """Keep all of the last `days`, and of older ones the newest in each of the last N hours, days, weeks, months.

    All zero means: keep everything (deletion is left to the bucket's own rules).
    """

    days: int = 0
    hourly: int = 0
    daily: int = 0
    weekly: int = 0
    monthly: int = 0

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Policy:
        names = {one.name for one in fields(cls)}
        if set(data) - names:
            raise SlipwayError(f"The retention has unknown names: {', '.join(sorted(set(data) - names))}.")
        values = {name: int(value or 0) for name, value in data.items()}
        if any(value < 0 for value in values.values()):
            raise SlipwayError("A retention cannot be negative.", hint="Use 0 to keep every backup.")
        return cls(**values)

    @property
    def keeps_everything(self) -> bool:
        return not any((self.days, self.hourly, self.daily, self.weekly, self.monthly))


@dataclass(frozen=True)
class Candidate:
    """A backup as the plan sees it."""

    id: str
    created: datetime
    verified: bool


PERIODS: dict[str, Callable[[datetime], tuple[int, ...]]] = {
    "hourly": lambda moment: (moment.year, moment.month, moment.day, moment.hour),
    "daily": lambda moment: (moment.year, moment.month, moment.day),
    "weekly": lambda moment: tuple(moment.isocalendar()[:2]),
    "monthly": lambda moment: (moment.year, moment.month),
}


def plan(backups: Iterable[Candidate], policy: Policy, now: datetime) -> list[str]:
    """The ids that may be deleted, oldest first."""
    known = sorted(backups, key=lambda one: (one.created, one.id))
    if policy.keeps_everything:
        return []
    kept = _within_days(known, policy, now) | _by_period(known, policy)
    newest_verified = max((index for index, one in enumerate(known) if one.verified), default=-1)
    return [one.id for index, one in enumerate(known) if one.id not in kept and index < newest_verified]


def waiting(backups: Iterable[Candidate], policy: Policy, now: datetime) -> int:
    """How many are older than the policy keeps and stay only because nothing newer is verified."""
    known = list(backups)
    proved = [Candidate(one.id, one.created, True) for one in known]
    return len(plan(proved, policy, now)) - len(plan(known, policy, now))


def _within_days(known: list[Candidate], policy: Policy, now: datetime) -> set[str]:
    limit = now - timedelta(days=policy.days)
    return {one.id for one in known if policy.days and one.created >= limit}


def _by_period(known: list[Candidate], policy: Policy) -> set[str]:
    kept: set[str] = set()
    for name, period in PERIODS.items():
        # Later ones overwrite: what remains is the newest of each period, oldest period first.
        newest = {period(one.created): one.id for one in known}
        count = getattr(policy, name)
        kept.update(list(newest.values())[-count:] if count else [])
    return kept
