# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From a server's roles to those that a restore lacks."""

from __future__ import annotations

import re
from collections.abc import Sequence

STATEMENT = re.compile(r'(?:CREATE|ALTER) ROLE ("(?:[^"]|"")+"|[^\s;]+)')
MEMBERSHIP = re.compile(r'GRANT ("(?:[^"]|"")+"|[^\s;]+) TO ("(?:[^"]|"")+"|[^\s;]+)')


def statements_for(dump: str, roles: Sequence[str]) -> str:
    """The lines of `pg_dumpall --globals-only` that make these roles and their memberships, and nothing else."""
    wanted = set(roles)
    return "".join(f"{line}\n" for line in dump.splitlines() if _concerns(line, wanted))


def _concerns(line: str, wanted: set[str]) -> bool:
    statement = STATEMENT.match(line)
    if statement:
        return _name(statement.group(1)) in wanted
    membership = MEMBERSHIP.match(line)
    return membership is not None and bool({_name(name) for name in membership.groups()} & wanted)


def _name(word: str) -> str:
    return word[1:-1].replace('""', '"') if word.startswith('"') else word
