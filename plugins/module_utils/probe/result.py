# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a probe saw: one outcome per attempt, one result per probe, one report per run."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

OK = "ok"
WARN = "warn"
FAIL = "fail"
SEVERITY = {OK: 0, WARN: 1, FAIL: 2}
# The policy `fail_on`: the worst status that is still accepted.
POLICIES = {"fail": WARN, "warn": OK, "never": FAIL}


@dataclass(frozen=True)
class Outcome:
    """One attempt: `message` says what was seen, `hint` what to try."""

    status: str
    message: str
    hint: str = ""
    observed: dict[str, Any] = field(default_factory=dict)


def ok(message: str, **observed: Any) -> Outcome:
    return Outcome(OK, message, observed=observed)


def warn(message: str, hint: str = "", **observed: Any) -> Outcome:
    return Outcome(WARN, message, hint, observed)


def fail(message: str, hint: str = "", **observed: Any) -> Outcome:
    return Outcome(FAIL, message, hint, observed)


def limits(value: float, warn_at: float | None, fail_at: float | None) -> str:
    """The status of a value that is better when it is lower."""
    if fail_at is not None and value >= fail_at:
        return FAIL
    return WARN if warn_at is not None and value >= warn_at else OK


def worst(statuses: Sequence[str]) -> str:
    return max(statuses, key=SEVERITY.__getitem__, default=OK)


@dataclass(frozen=True)
class ProbeResult:
    name: str
    type: str
    target: str
    status: str
    latency_ms: float
    attempts: int
    message: str
    hint: str = ""
    group: str = ""
    expected: str = ""
    observed: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "type": self.type,
            "target": self.target,
            "group": self.group,
            "status": self.status,
            "latency_ms": self.latency_ms,
            "attempts": self.attempts,
            "expected": self.expected,
            "message": self.message,
            "hint": self.hint,
            "observed": self.observed,
        }


@dataclass(frozen=True)
class Report:
    """Every probe has a result, in the order in which the probes were given."""

    probes: list[ProbeResult]
    seconds: float
    ended: float = field(default_factory=time.time)

    @property
    def status(self) -> str:
        return worst([probe.status for probe in self.probes])

    @property
    def summary(self) -> dict[str, Any]:
        counts = {status: sum(probe.status == status for probe in self.probes) for status in SEVERITY}
        return {"total": len(self.probes), **counts, "seconds": round(self.seconds, 3)}

    def worst_first(self) -> list[ProbeResult]:
        return sorted(self.probes, key=lambda probe: -SEVERITY[probe.status])

    def passes(self, fail_on: str) -> bool:
        return SEVERITY[self.status] <= SEVERITY[POLICIES[fail_on]]

    def sentence(self) -> str:
        """The one line that a failed run ends with."""
        bad = [probe for probe in self.worst_first() if probe.status != OK]
        if not bad:
            return f"All {len(self.probes)} probes are ok."
        names = "; ".join(f"{probe.name}: {probe.message}" for probe in bad[:5])
        more = f" and {len(bad) - 5} more" if len(bad) > 5 else ""
        return f"{len(bad)} of {len(self.probes)} probes are not ok: {names}{more}"

    def as_dict(self) -> dict[str, Any]:
        return {"status": self.status, "summary": self.summary, "probes": [probe.as_dict() for probe in self.probes]}
