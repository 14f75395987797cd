# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Goes through a check list: a tick or a reason for each line. Reads only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..common.errors import SlipwayError
from .checks import CHECKS
from .facts import Asked, Facts
from .lines import Line, Verdict, parse, reason

TICK, CROSS = "✓", "✗"


def go_through(moment: str, entries: Sequence[Mapping[str, Any]], asked: Asked) -> list[dict[str, Any]]:
    """Each line with its verdict; what is wrong with the list itself is refused before anything is looked at."""
    lines = parse(moment, entries, {name: check.options for name, check in CHECKS.items()})
    facts = Facts(asked)
    return [_as_dict(line, look(line, facts)) for line in lines]


def look(line: Line, facts: Facts) -> Verdict:
    """A check that cannot look has no tick either, and says why."""
    try:
        return CHECKS[line.check].look(line.given, facts)
    except SlipwayError as error:
        return reason(str(error))
    except OSError as error:
        return reason(f"{type(error).__name__}: {error}")


def _as_dict(line: Line, verdict: Verdict) -> dict[str, Any]:
    return {
        "text": line.text,
        "check": line.check,
        "required": line.required,
        "ticked": verdict.ticked,
        "seen": verdict.seen,
    }


def rows(found: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """For people: the tick, the line, what was seen."""
    return [[TICK if one["ticked"] else CROSS, one["text"], " ".join(str(one["seen"]).split())] for one in found]


def stops(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """The required lines without a tick, as sentences."""
    return [f"{one['text']}: {str(one['seen']).rstrip('.')}." for one in found if one["required"] and not one["ticked"]]
