# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From what the bucket holds to what a restore needs. Pure: nothing is read here but what is given.

Everything that could end a recovery half-way is found here: a base backup that is missing, a gap in the log, a moment
that the log does not reach.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from ...common.errors import SlipwayError
from .base import BaseBackup
from .segments import Descent, Segment

# A segment's time is that of its last write, by the clock of the same host; the margin is for its resolution.
MARGIN = timedelta(seconds=2)


@dataclass(frozen=True)
class Target:
    """A moment (none: the newest), on a timeline (none: the newest), from a base backup (none: the best one)."""

    time: datetime | None = None
    timeline: int | None = None
    base: str = ""


@dataclass(frozen=True)
class Holdings:
    """The log of one database system in the bucket. `finished` tells when a segment was written to its end."""

    segments: set[str]
    partials: set[str]
    histories: Mapping[int, str]
    covered: datetime | None
    finished: Callable[[str], datetime | None]


@dataclass(frozen=True)
class RestorePlan:
    base: BaseBackup
    target: Target
    timeline: int
    segments: list[Segment] = field(default_factory=list)
    partial: Segment | None = None
    covered: datetime | None = None

    @property
    def bytes(self) -> int:
        """Of disk that the copy needs while it is made."""
        return self.base.bytes + (len(self.segments) + (self.partial is not None)) * self.base.segment_bytes


def choose(bases: Sequence[BaseBackup], target: Target, stack: str) -> BaseBackup:
    """The newest complete one that was finished by then."""
    if not bases:
        raise SlipwayError(
            f"The stack {stack} has no base backup.",
            hint=f"Make one, for the time from now on: slipway wal base {stack}",
        )
    wanted = [one for one in bases if not target.base or one.id == target.base]
    if not wanted:
        raise SlipwayError(
            f"The stack {stack} has no base backup {target.base!r}.",
            hint=f"List them with: slipway backup list {stack} --kind base",
        )
    complete = [one for one in wanted if one.complete]
    if not complete:
        raise SlipwayError(
            "No such base backup is complete: an object is missing or has another size than its manifest says.",
            hint=f"List them with: slipway backup list {stack} --kind base",
        )
    systems = {one.system: one for one in sorted(complete, key=lambda one: one.stopped)}
    if target.time is None and len(systems) > 1:
        # A new server in the place of a lost one soon has a base backup too: of its own empty database.
        newest = "; ".join(f"{one.id} of {one.stopped}" for one in systems.values())
        raise SlipwayError(
            f"The bucket has base backups of {len(systems)} different database servers of stack {stack}, and which one "
            "is meant cannot be guessed.",
            hint=f"Name its newest one (restore_id, --id): {newest}.",
        )
    fitting = [one for one in complete if target.time is None or one.stopped <= target.time]
    if not fitting:
        raise SlipwayError(
            f"The moment {target.time} is before the end of the oldest base backup.",
            hint=f"The earliest moment is {min(one.stopped for one in complete)}.",
        )
    return max(fitting, key=lambda one: one.stopped)


def plan(base: BaseBackup, holdings: Holdings, target: Target, now: datetime) -> RestorePlan:
    """Which segments, in order and without a gap; or a sentence that says what is possible."""
    if target.time is not None and target.time > now:
        raise SlipwayError(f"The moment {target.time} is in the future.")
    descent = _descent(base, holdings, target)
    chain, partial = _chain(base, holdings, descent)
    # Of a base backup all of the log that was written while it was made is needed.
    last = base.stop - 1 if base.stop % base.segment_bytes == 0 else base.stop
    if last // base.segment_bytes >= base.first + len(chain) + (partial is not None):
        lost = descent.segment(base.first + len(chain), base.segment_bytes)
        raise SlipwayError(
            f"Base backup {base.id} cannot be used: segment {lost.name} of its log is missing in the bucket.",
            hint="If the base backup is new, wait for the log (slipway wal status); else ask for an earlier moment.",
        )
    if target.time is not None:
        found = _until(chain, target.time, holdings)
        least = last // base.segment_bytes - base.first + 1
        if found is not None:
            return RestorePlan(base, target, descent.timeline, chain[: max(found, least)], None, holdings.covered)
    _refuse_gap(base, holdings, descent, chain, partial)
    if target.time is not None and (holdings.covered is None or target.time > holdings.covered):
        raise SlipwayError(
            f"The log in the bucket does not reach {target.time}: it reaches {holdings.covered or 'no known moment'}.",
            hint="Restore to that moment, or to the newest one by leaving the time out.",
        )
    return RestorePlan(base, target, descent.timeline, chain, partial, holdings.covered)


def _descent(base: BaseBackup, holdings: Holdings, target: Target) -> Descent:
    timeline = target.timeline or max([base.timeline, *holdings.histories])
    if timeline != base.timeline and timeline not in holdings.histories:
        raise SlipwayError(f"The history of timeline {timeline} is not in the bucket.")
    descent = Descent(timeline, holdings.histories.get(timeline, ""))
    if not descent.holds(base.timeline, base.stop):
        raise SlipwayError(
            f"Base backup {base.id} is not in the past of timeline {timeline}: it was made on timeline {base.timeline} "
            "after the two parted.",
            hint=f"Ask for timeline {base.timeline}, or for a base backup before that.",
        )
    return descent


def _chain(base: BaseBackup, holdings: Holdings, descent: Descent) -> tuple[list[Segment], Segment | None]:
    chain: list[Segment] = []
    while True:
        segment = descent.segment(base.first + len(chain), base.segment_bytes)
        if segment.name in holdings.segments:
            chain.append(segment)
            continue
        return chain, segment if segment.name in holdings.partials else None


def _until(chain: Sequence[Segment], time: datetime, holdings: Holdings) -> int | None:
    """How many segments lead past the moment; None if all of them end before it."""

    def ends(segment: Segment) -> datetime:
        # Times only ever grow along the chain; one that is not known cannot end the search too early.
        return holdings.finished(segment.name) or datetime.min.replace(tzinfo=time.tzinfo)

    found = bisect.bisect_right(chain, time + MARGIN, key=ends)
    return found + 1 if found < len(chain) else None


def _refuse_gap(
    base: BaseBackup, holdings: Holdings, descent: Descent, chain: Sequence[Segment], partial: Segment | None
) -> None:
    following = base.first + len(chain)
    timelines = {one.timeline for one in descent.stretches}
    parsed = (Segment.parse(name, base.segment_bytes) for name in holdings.segments | holdings.partials)
    later = [one for one in parsed if one and one.timeline in timelines and one.number > following]
    later = [one for one in later if descent.segment(one.number, one.size) == one]
    if not later:
        return
    reached = holdings.finished(chain[-1].name) if chain else None
    raise SlipwayError(
        f"Segment {descent.segment(following, base.segment_bytes).name} is missing in the bucket, though later ones "
        "are there: the log cannot be followed across it.",
        hint=f"Before it the log reaches {reached or 'the end of the base backup'}; restore to a moment until then, or "
        "after the base backup that follows the gap.",
    )
