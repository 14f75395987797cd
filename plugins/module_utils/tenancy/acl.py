# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""PostgreSQL's access lists as it prints them: `grantee=letters/grantor`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

ITEM = re.compile(r'(?P<grantee>"(?:[^"]|"")*"|[^=]*)=(?P<letters>[a-zA-Z*]*)/.*', re.S)
PUBLIC = ""

LETTERS = {
    "SELECT": "r",
    "INSERT": "a",
    "UPDATE": "w",
    "DELETE": "d",
    "USAGE": "U",
    "CREATE": "C",
    "EXECUTE": "X",
    "TRUNCATE": "D",
    "REFERENCES": "x",
    "TRIGGER": "t",
    "MAINTAIN": "m",
}

# What the application needs on each kind of object of a tenant, and nothing more.
APPLICATION = {
    "TABLES": ("SELECT", "INSERT", "UPDATE", "DELETE"),
    "SEQUENCES": ("USAGE", "SELECT"),
    "FUNCTIONS": ("EXECUTE",),
}

# pg_default_acl.defaclobjtype
OBJECT_TYPES = {"r": "TABLES", "S": "SEQUENCES", "f": "FUNCTIONS"}


@lru_cache(maxsize=1000)
def _set(letters: str) -> frozenset[str]:
    """One set for all who hold the same: of thousands of tenants there are many grants and few different ones."""
    return frozenset(letters)


def grants(items: Iterable[str]) -> dict[str, frozenset[str]]:
    """Who holds which letters. PUBLIC is the empty name; grant options do not count."""
    held: dict[str, frozenset[str]] = {}
    for item in items:
        match = ITEM.fullmatch(item)
        if match:
            grantee = match["grantee"]
            if grantee.startswith('"'):
                grantee = grantee[1:-1].replace('""', '"')
            text = match["letters"].replace("*", "")
            # the same person is granted twice where two others granted it
            held[grantee] = _set(text + "".join(sorted(held[grantee])) if grantee in held else text)
    return held


def privileges(held: Iterable[str]) -> tuple[str, ...]:
    """The names of the letters that are held."""
    return tuple(name for name, letter in LETTERS.items() if letter in set(held))


def letters(names: Iterable[str]) -> frozenset[str]:
    return frozenset(LETTERS[name] for name in names)
