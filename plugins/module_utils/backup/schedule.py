# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""When backups are due: from the timers that role backup armed, and what systemd makes of their times."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import pairwise
from typing import Any

from ..common.errors import SlipwayError
from ..common.files import read_json
from ..common.process import run
from . import spec
from .goals import Goals

HOUR = 3600.0
# A timer without a readable time is taken for a nightly one.
DEFAULT_GAP = 24 * HOUR
DEFAULT_DELAY = 0.5 * HOUR
# What a backup may take before the next one is called late.
SLACK = 1.5 * HOUR
ITERATIONS = 100
SECONDS = 10.0
MOMENT = re.compile(r"(?:Next elapse|\(in UTC\)|Iter\. #\d+|Iteration #\d+): \S+ (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) UTC")
MICROSECONDS = re.compile(r"[μu]s: (\d+)")
UNIT = re.compile(r"slipway-[a-z-]+@")
DATABASE = "slipway-backup@"
VERIFY = "slipway-verify@"
BASE = "slipway-base@"
DRILL = "slipway-drill@"


@dataclass(frozen=True)
class Watch:
    """What is watched of one stack's backups: object `watch` of its configuration."""

    timers: Mapping[str, str] = field(default_factory=dict)
    random_delay: str = "30min"
    max_age_hours: float = 0.0
    wal_lag_seconds: float = 300.0
    # How much may be lost, where the team has promised it.
    rpo: float | None = None
    metrics_directory: str = ""

    def timer_of(self, kind: str) -> str:
        """The time of a kind's timer, as it is written; empty when it has none."""
        unit = {"postgres": DATABASE, "base": BASE}.get(kind, f"slipway-backup-{kind}@")
        return self.timers.get(unit, "")

    def max_age(self, kind: str) -> float:
        """Seconds after which the last good backup of a kind is too old."""
        return self._promised(kind, self.max_age_hours * HOUR or self.due(self.timer_of(kind)))

    def lost_age(self, kind: str) -> float:
        """The same with a whole turn missed besides."""
        return self._promised(kind, self.max_age(kind) + gap(self.timer_of(kind)))

    def _promised(self, kind: str, age: float) -> float:
        """A dump of the database that is older than its RPO breaks the promise, unless the log is in the bucket."""
        kept = self.rpo is None or kind != "postgres" or BASE in self.timers
        return age if kept else min(age, self.rpo or age)

    @property
    def max_lag(self) -> float:
        """Seconds that the log in the bucket may be behind."""
        return self.wal_lag_seconds if self.rpo is None else min(self.wal_lag_seconds, self.rpo)

    def due(self, calendar: str) -> float:
        """Seconds from one run to the end of the next, with all that may delay it."""
        return gap(calendar) + span(self.random_delay) + SLACK


def watch(stack: str) -> Watch:
    data = read_json(spec.CONFIG_DIRECTORY / f"{stack}.json", {}) or {}
    return replace(from_dict(data.get("watch") or {}), rpo=Goals.from_dict(data.get("goals")).rpo)


def from_dict(data: Mapping[str, Any]) -> Watch:
    timers = {str(unit): str(calendar) for unit, calendar in (data.get("timers") or {}).items() if calendar}
    for unit in timers:
        if not UNIT.fullmatch(unit):
            raise SlipwayError(f"{unit!r} is not a timer of the backup.", hint="Run: slipway.vps.site --tags backup")
    given = {name: data[name] for name in ("max_age_hours", "wal_lag_seconds") if data.get(name) is not None}
    return Watch(
        timers=timers,
        random_delay=str(data.get("random_delay") or "0"),
        metrics_directory=str(data.get("metrics_directory") or ""),
        **{name: float(value) for name, value in given.items()},
    )


def gap(calendar: str) -> float:
    """The longest time between two of the next moments of an `OnCalendar`; a night where it has none."""
    times = moments(_analyze("calendar", f"--iterations={ITERATIONS}", "--", calendar)) if calendar else []
    return max(((later - earlier).total_seconds() for earlier, later in pairwise(times)), default=DEFAULT_GAP)


def moments(text: str) -> list[datetime]:
    """The moments that `systemd-analyze calendar` prints; it adds those of UTC where the host has another time."""
    return [datetime.strptime(found, "%Y-%m-%d %H:%M:%S") for found in MOMENT.findall(text)]


def span(text: str) -> float:
    """Seconds of a time span as systemd writes them."""
    found = MICROSECONDS.search(_analyze("timespan", "--", text))
    return int(found.group(1)) / 1e6 if found else DEFAULT_DELAY


def _analyze(verb: str, *words: str) -> str:
    try:
        result = run(["systemd-analyze", verb, *words], timeout=SECONDS, env={"LC_ALL": "C.UTF-8"}, check=False)
    except SlipwayError:
        return ""
    return result.stdout
