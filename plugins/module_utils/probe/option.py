# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One option of a probe: its type, its default and what it means, declared once.

Validation, the module's argument_spec and its documentation are all made from these.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..common.errors import SlipwayError

WORDS = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "list": "a list",
    "dict": "a mapping",
}
TRUE = ("true", "yes", "on", "1")
FALSE = ("false", "no", "off", "0")


@dataclass(frozen=True)
class Option:
    type: str
    description: str
    default: Any = None
    elements: str | None = None
    choices: tuple[str, ...] = ()
    secret: bool = False
    minimum: float | None = None

    def convert(self, value: Any, label: str) -> Any:
        """The value in this option's type, or a sentence that names `label`."""
        converted = self._typed(value, self.type, label)
        if self.type == "list" and self.elements:
            converted = [self._typed(item, self.elements, f"an item of {label}") for item in converted]
        if self.choices and converted not in self.choices:
            raise SlipwayError(f"{label} must be one of {', '.join(self.choices)}.")
        if self.minimum is not None and converted < self.minimum:
            raise SlipwayError(f"{label} must be at least {self.minimum:g}.")
        return converted

    def _typed(self, value: Any, kind: str, label: str) -> Any:
        try:
            return CONVERTERS[kind](value)
        except (TypeError, ValueError):
            # The value itself stays out of the sentence: it may be a secret in the wrong place.
            raise SlipwayError(f"{label} must be {WORDS[kind]}, not {type(value).__name__}.") from None


def _text(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise TypeError
    return str(value)


def _integer(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise TypeError
    return int(value)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise TypeError
    return float(value)


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    word = str(value).lower()
    if word in TRUE:
        return True
    if word in FALSE:
        return False
    raise ValueError


def _list(value: Any) -> list[Any]:
    if isinstance(value, (str, int, float)):
        return [value]
    if not isinstance(value, (list, tuple)):
        raise TypeError
    return list(value)


def _mapping(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError
    return dict(value)


CONVERTERS: dict[str, Callable[[Any], Any]] = {
    "str": _text,
    "int": _integer,
    "float": _number,
    "bool": _boolean,
    "list": _list,
    "dict": _mapping,
    "raw": lambda value: value,
}
