# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A dotted path into JSON: keys joined by dots, and numbers for list items (`data.items.0.id`). Nothing more."""

from __future__ import annotations

from typing import Any


def lookup(document: Any, path: str) -> Any:
    """The value at `path`; LookupError names the part that is not there."""
    value = document
    for part in path.split("."):
        try:
            value = value[int(part)] if isinstance(value, list) else value[part]
        except (KeyError, IndexError, ValueError, TypeError):
            raise LookupError(part) from None
    return value
