# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The option `probes` of module health_probe, made from the types: its argument_spec and its documentation."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from .option import Option
from .registry import CLASSES, TYPES
from .spec import COMMON

Uses = dict[str, list[tuple[str, Option]]]


def probe_options() -> dict[str, Any]:
    """Sub-options for the argument_spec. Defaults are applied later, because they depend on the type."""
    spec: dict[str, Any] = {"type": {"type": "str", "required": True, "choices": sorted(TYPES)}}
    for name, option in COMMON.items():
        spec[name] = _argument(option)
    for name, uses in _uses().items():
        spec[name] = _argument(uses[0][1])
    return spec


def _argument(option: Option) -> dict[str, Any]:
    argument: dict[str, Any] = {"type": option.type}
    if option.elements:
        argument["elements"] = option.elements
    if option.choices:
        argument["choices"] = list(option.choices)
    if option.secret:
        argument["no_log"] = True
    return argument


def _uses() -> Uses:
    """Every option of a type, with the types that have it; one name means one kind of value everywhere."""
    uses: Uses = {}
    for cls in CLASSES:
        for name, option in cls.options.items():
            others = uses.setdefault(name, [])
            if name in COMMON or (others and _argument(others[0][1]) != _argument(option)):
                raise TypeError(f"option {name} of probe type {cls.name} differs from the same option elsewhere")
            others.append((cls.name, option))
    return uses


def documentation() -> str:
    """A doc fragment. JSON is YAML, and it needs no library on the host."""
    suboptions: dict[str, Any] = {
        "type": {
            "description": [
                "What kind of probe it is.",
                *(f"V({cls.name}) - {_lower(cls.summary)}" for cls in CLASSES),
            ],
            "type": "str",
            "required": True,
            "choices": sorted(TYPES),
        }
    }
    for name, option in COMMON.items():
        suboptions[name] = _documented(option, list(_default(option)))
    suboptions["target"]["description"] += [f"For V({cls.name}), {cls.target}" for cls in CLASSES]
    for name, uses in _uses().items():
        suboptions[name] = _documented(uses[0][1], list(_belongs(uses)))
    probes = {
        "description": "What to probe. Each type has options of its own; others are refused.",
        "type": "list",
        "elements": "dict",
        "required": True,
        "suboptions": suboptions,
    }
    return json.dumps({"options": {"probes": probes}}, indent=1)


def _lower(sentence: str) -> str:
    return (
        sentence
        if sentence.split(maxsplit=1)[0] in ("PostgreSQL", "Redis", "TCP", "TLS", "URL")
        else sentence[0].lower() + sentence[1:]
    )


def _documented(option: Option, more: list[str]) -> dict[str, Any]:
    argument = {key: value for key, value in _argument(option).items() if key != "no_log"}
    return {"description": [option.description, *more], **argument}


def _default(option: Option) -> Iterator[str]:
    if option.default not in (None, "", [], {}):
        value = option.default if isinstance(option.default, str) else json.dumps(option.default)
        yield f"The default is V({value})."


def _belongs(uses: list[tuple[str, Option]]) -> Iterator[str]:
    defaults = {json.dumps(option.default) for _name, option in uses}
    yield f"For type {', '.join(f'V({name})' for name, _option in uses)}."
    if len(defaults) == 1:
        yield from _default(uses[0][1])
    else:
        for name, option in uses:
            yield from (f"For V({name}): {text}" for text in _default(option))
