# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names that come from people are checked before they become paths, identifiers or hosts."""

from __future__ import annotations

import re

from .errors import SlipwayError

STACK = re.compile(r"[a-z][a-z0-9-]{0,30}[a-z0-9]|[a-z]")
SLUG = re.compile(r"[a-z0-9](?:[a-z0-9_]{0,46}[a-z0-9])?")
IDENTIFIER = re.compile(r"[a-z_][a-z0-9_$]{0,62}")
LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)")
MAX_DOMAIN = 253


def stack_name(value: str) -> str:
    """A stack's name is a directory, a Compose project, a unit and a DNS label."""
    if not STACK.fullmatch(value):
        raise SlipwayError(
            f"The stack name {value!r} is not allowed.",
            hint="Use 1 to 32 lower-case letters, digits and hyphens, starting with a letter.",
        )
    return value


def slug(value: str) -> str:
    """A tenant's slug becomes part of a schema and a role name."""
    if not SLUG.fullmatch(value):
        raise SlipwayError(
            f"The tenant slug {value!r} is not allowed.",
            hint="Use 1 to 48 lower-case letters, digits and underscores, starting and ending with a letter or digit.",
        )
    return value


def identifier(value: str) -> str:
    """A PostgreSQL identifier that needs no quoting (it is quoted all the same)."""
    if not IDENTIFIER.fullmatch(value):
        raise SlipwayError(
            f"The PostgreSQL name {value!r} is not allowed.",
            hint="Use 1 to 63 lower-case letters, digits, underscores and dollar signs, starting with a letter.",
        )
    return value


def domain(value: str) -> str:
    """A fully qualified host name, in lower case."""
    name = value.lower().rstrip(".")
    labels = name.split(".")
    # some letters that are not ASCII become so in lower case
    plain = value.isascii() and all(LABEL.fullmatch(label) for label in labels)
    if not plain or len(name) > MAX_DOMAIN or len(labels) < 2 or labels[-1].replace("-", "").isdigit():
        raise SlipwayError(
            f"The domain {value!r} is not a host name.",
            hint="Write it like shop.example.org: letters, digits and hyphens in labels joined by dots.",
        )
    return name
