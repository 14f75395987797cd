# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A deployment's check list as a team wrote it: what people read, and what is looked at for it. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..common.errors import SlipwayError

BEFORE, DURING, AFTER = MOMENTS = ("before", "during", "after")
KEYS = ("text", "check", "required", "with")


@dataclass(frozen=True)
class Line:
    """One line of the list; a required one that is not ticked keeps a release from beginning."""

    text: str
    check: str
    required: bool = False
    given: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Verdict:
    """What was seen: enough for a tick, or the reason why there is none."""

    ticked: bool
    seen: str


def tick(seen: str) -> Verdict:
    return Verdict(True, seen)


def reason(seen: str) -> Verdict:
    return Verdict(False, seen)


def parse(moment: str, entries: Sequence[Mapping[str, Any]], known: Mapping[str, Collection[str]]) -> list[Line]:
    """The lines of a moment; `known` are the options of each check."""
    return [_line(moment, position, entry, known) for position, entry in enumerate(entries, 1)]


def _line(moment: str, position: int, entry: Mapping[str, Any], known: Mapping[str, Collection[str]]) -> Line:
    place = f"Line {position} of the check list {moment} a release"
    text, check = str(entry.get("text") or ""), str(entry.get("check") or "")
    if unknown := sorted(set(entry) - set(KEYS)):
        raise SlipwayError(f"{place} has the unknown key {unknown[0]!r}.", hint=f"Known keys: {', '.join(KEYS)}.")
    if not text:
        raise SlipwayError(f"{place} has no text.", hint="Write what people call it.")
    if check not in known:
        raise SlipwayError(f"{place} has the unknown check {check!r}.", hint=f"Use one of {', '.join(sorted(known))}.")
    given = dict(entry.get("with") or {})
    if wrong := sorted(set(given) - set(known[check])):
        hint = f"It takes {', '.join(known[check])}." if known[check] else "It takes none."
        raise SlipwayError(f"{place}: the check {check} has no option {wrong[0]!r}.", hint=hint)
    if entry.get("required") and moment != BEFORE:
        raise SlipwayError(
            f"{place} is required, which only a line before a release can be.",
            hint="What keeps the traffic from moving is a health path or a hook before_switch.",
        )
    return Line(text, check, bool(entry.get("required")), given)
