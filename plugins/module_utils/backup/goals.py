# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the team has promised: how long the stack may be away (RTO), and how much of its work may be lost (RPO)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..common.errors import SlipwayError

# As systemd writes time spans; a plain number is seconds.
PART = re.compile(r"(\d+(?:\.\d+)?)\s*(s|sec|seconds?|m|min|minutes?|h|hr|hours?|d|days?|)(?=\s|\d|$)\s*")
SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
WORDS = ((86400, "d"), (3600, "h"), (60, "min"))


@dataclass(frozen=True)
class Goals:
    """In seconds; None where nothing was promised."""

    rto: float | None = None
    rpo: float | None = None

    @classmethod
    def from_dict(cls, data: Mapping[str, Any] | None) -> Goals:
        given = data or {}
        return cls(*(_seconds(f"backup_goal_{name}", str(given.get(name) or "")) for name in ("rto", "rpo")))

    def told(self) -> dict[str, Any]:
        """For a playbook: the goals in seconds and as people read them."""
        both = {"rto": self.rto, "rpo": self.rpo}
        return {name: {"seconds": goal, "text": span(goal)} for name, goal in both.items() if goal is not None}

    def judge(self, restored: float, lost: float | None) -> tuple[list[str], list[str]]:
        """What was measured beside what was promised, as sentences; and those of them that were missed."""
        sentences, missed = [], []
        for goal, measured, what in (
            (self.rto, restored, "RTO: the restore took {}"),
            (self.rpo, lost, "RPO: {} would be missing if the server were lost now"),
        ):
            if goal is None or measured is None:
                continue
            verdict = "met" if measured <= goal else "missed"
            sentence = f"{what.format(span(measured))}; the goal of {span(goal)} is {verdict}."
            sentences.append(sentence)
            if measured > goal:
                missed.append(sentence)
        return sentences, missed


def _seconds(name: str, text: str) -> float | None:
    if not text.strip():
        return None
    parts = PART.findall(text)
    if PART.sub("", text.strip()) or not parts:
        raise SlipwayError(
            f"{name} is {text!r}, which is no time span.", hint="Write it like 4h, 15min, or in seconds."
        )
    return sum(float(number) * SECONDS[unit[:1]] for number, unit in parts)


def span(seconds: float) -> str:
    """As exact as it has to be: 1.7 s, 15 min, 1.5 h."""
    for size, word in WORDS:
        if seconds >= size:
            return f"{round(seconds / size, 1):g} {word}"
    return f"{round(seconds, 1):g} s"
