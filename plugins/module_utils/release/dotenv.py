# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The env file of a release: what `docker compose --env-file` reads, and what the engine reads back."""

from __future__ import annotations

from collections.abc import Mapping

ESCAPES = {"\\": "\\\\", '"': '\\"', "$": "\\$", "\n": "\\n", "\r": "\\r"}
UNESCAPES = {"\\": "\\", '"': '"', "$": "$", "n": "\n", "r": "\r"}


def render(values: Mapping[str, str]) -> str:
    """One line a variable, by name; every value is double-quoted, so that no character of it has a meaning."""
    return "".join(f'{name}="{_escape(values[name])}"\n' for name in sorted(values))


def _escape(value: str) -> str:
    return "".join(ESCAPES.get(character, character) for character in value)


def parse(text: str) -> dict[str, str]:
    """What `render` wrote."""
    values: dict[str, str] = {}
    # Not splitlines(): a value may hold other characters that Python takes for the end of a line.
    for line in filter(None, text.split("\n")):
        name, quoted = line.split("=", 1)
        values[name] = _unescape(quoted[1:-1])
    return values


def _unescape(text: str) -> str:
    characters = iter(text)
    return "".join(UNESCAPES[next(characters)] if character == "\\" else character for character in characters)
