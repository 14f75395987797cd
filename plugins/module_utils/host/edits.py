# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Single lines in files that belong to the distribution: the rest of such a file stays as it is."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class LineEdit:
    """The one line that those matching `match` become. Without one they are all removed."""

    match: str
    line: str = ""


@dataclass(frozen=True)
class EditSpec:
    path: str
    lines: tuple[LineEdit, ...]


def edited(text: str, lines: Sequence[LineEdit]) -> str:
    """The text with each edit made: in the place of the first matching line, or at the end when there is none."""
    rows = text.splitlines()
    for edit in lines:
        rows = _edited(rows, edit)
    return "".join(f"{row}\n" for row in rows)


def _edited(rows: Sequence[str], edit: LineEdit) -> list[str]:
    pattern = re.compile(edit.match)
    kept: list[str] = []
    missing = bool(edit.line)
    for row in rows:
        if row != edit.line and not pattern.search(row):
            kept.append(row)
        elif missing:
            kept.append(edit.line)
            missing = False
    return [*kept, edit.line] if missing else kept
