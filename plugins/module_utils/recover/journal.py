# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a recovery has decided and done, so that one that was cut off goes on where it was.

The backups are chosen once: a second try must not take one that the half-recovered server made of itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ..common.errors import SlipwayError
from ..common.files import read_json, remove, write_json

PLACE = Path("/var/lib/slipway/recover")


@dataclass(frozen=True)
class Journal:
    stack: str
    started: str
    chosen: Mapping[str, str]  # kind -> id of the backup
    time: str = ""  # the moment that was asked for; empty: the newest
    state: Mapping[str, Any] | None = None
    done: Mapping[str, Any] = field(default_factory=dict)  # kind -> what its restore told
    warnings: tuple[str, ...] = ()
    maintenance: bool = False  # the page is ours to take away
    finished: str = ""

    def with_done(self, kind: str, result: Mapping[str, Any]) -> Journal:
        return replace(self, done={**self.done, kind: dict(result)})

    def with_warning(self, text: str) -> Journal:
        return self if text in self.warnings else replace(self, warnings=(*self.warnings, text))


def path(stack: str) -> Path:
    return PLACE / f"{stack}.json"


def read(stack: str) -> Journal | None:
    try:
        data = read_json(path(stack))
    except ValueError as error:
        raise SlipwayError(
            f"What is known of the recovery of {stack} cannot be read ({error}).",
            hint=f"Remove {path(stack)} and what is in /srv/{stack}, and begin anew.",
        ) from None
    return Journal(**{**data, "warnings": tuple(data["warnings"])}) if data else None


def write(journal: Journal) -> Journal:
    PLACE.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_json(path(journal.stack), asdict(journal))
    return journal


def forget(stack: str) -> bool:
    return remove(path(stack))
