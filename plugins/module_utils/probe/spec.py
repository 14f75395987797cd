# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the user writes: a probe, checked completely before anything is asked over the network."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ..common.errors import SlipwayError
from .option import Option
from .redact import query_values, redact, shown_url, strings

if TYPE_CHECKING:
    from .types.base import ProbeType

DEFAULT_TIMEOUT = 5.0
DEFAULT_CONNECT_TIMEOUT = 3.0

COMMON: dict[str, Option] = {
    "name": Option("str", "Name in every report. It must be unique; the default is made from the type and the target."),
    "target": Option("str", "What is probed. See the type for its form."),
    "group": Option("str", "A free word that reports carry along, for example V(inside) and V(outside).", default=""),
    "timeout": Option(
        "float", "Seconds for one attempt from its start to its end, whatever the other side does.", minimum=0.001
    ),
    "connect_timeout": Option("float", "Seconds for opening the connection of one attempt.", minimum=0.001),
    "successes": Option("int", "Good attempts in a row that make the probe good.", default=1, minimum=1),
    "failures": Option(
        "int", "Bad attempts in a row that end the probe. The default is O(probes[].retries) plus one.", minimum=1
    ),
    "retries": Option(
        "int", "Bad attempts that are forgiven in total. The default is O(probes[].failures) minus one.", minimum=0
    ),
    "interval": Option("float", "Seconds between two attempts.", default=1.0, minimum=0),
    "warn_ms": Option("float", "A good answer that takes this many milliseconds or more is a warning.", minimum=0),
    "fail_ms": Option("float", "A good answer that takes this many milliseconds or more is a failure.", minimum=0),
}


@dataclass(frozen=True)
class Probe:
    name: str
    type: str
    target: str
    group: str = ""
    timeout: float = DEFAULT_TIMEOUT
    connect_timeout: float = DEFAULT_CONNECT_TIMEOUT
    successes: int = 1
    failures: int = 1
    retries: int = 0
    interval: float = 1.0
    warn_ms: float | None = None
    fail_ms: float | None = None
    options: dict[str, Any] = field(default_factory=dict)
    secrets: frozenset[str] = frozenset()


def parse(raw: Mapping[str, Any], types: Mapping[str, type[ProbeType]], defaults: Mapping[str, Any]) -> Probe:
    """One probe from the user's mapping. `defaults` holds the run's timeouts and secrets."""
    if not isinstance(raw, Mapping):
        raise SlipwayError(f"A probe must be a mapping with name, type and target, not {type(raw).__name__}.")
    given = {key: value for key, value in raw.items() if value is not None}
    kind = given.pop("type", None)
    label = f"The probe {given.get('name') or shown_url(str(given.get('target', ''))) or '(without name)'}"
    if kind is None:
        raise SlipwayError(f"{label} has no type.", hint=f"Use one of {', '.join(sorted(types))}.")
    if kind not in types:
        raise SlipwayError(f"{label} has the unknown type {kind!r}.", hint=_suggest(str(kind), types))
    chosen = types[kind]
    _refuse_unknown(given, chosen, f"{label} (type {kind})")
    common = {key: _converted(key, COMMON[key], given, label) for key in COMMON}
    options = {key: _converted(key, option, given, label) for key, option in chosen.options.items()}
    target = common.pop("target") or ""
    if not target and chosen.target_required:
        raise SlipwayError(f"{label} has no target.", hint=f"Type {kind} expects {chosen.target}")
    secrets = set().union(*(strings(options[key]) for key, option in chosen.options.items() if option.secret))
    secrets |= chosen.derived_secrets(options)
    probe = Probe(
        name=common.pop("name") or "",
        type=kind,
        target=target,
        options=options,
        secrets=frozenset({*secrets, *query_values(target), *defaults.get("secrets", ())}),
        **_timing(common, defaults, label),
    )
    return _named(chosen, probe, label)


def _named(chosen: type[ProbeType], probe: Probe, label: str) -> Probe:
    """Let the type check its own options, and give a name to a probe that has none."""
    instance = chosen(probe)
    try:
        instance.check()
    except SlipwayError as error:
        raise SlipwayError(f"{label} (type {probe.type}) cannot run: {error.message}", hint=error.hint) from error
    name = probe.name or f"{probe.type} {instance.shown_target()}".strip()
    return replace(probe, name=redact(name, probe.secrets))


def _timing(common: dict[str, Any], defaults: Mapping[str, Any], label: str) -> dict[str, Any]:
    timing = dict(common)
    timing["timeout"] = common["timeout"] or defaults.get("timeout") or DEFAULT_TIMEOUT
    timing["connect_timeout"] = common["connect_timeout"] or defaults.get("connect_timeout") or DEFAULT_CONNECT_TIMEOUT
    if timing["retries"] is None:
        timing["retries"] = (timing["failures"] or 1) - 1
    if timing["failures"] is None:
        timing["failures"] = timing["retries"] + 1
    if timing["failures"] > timing["retries"] + 1:
        raise SlipwayError(
            f"{label} asks for {timing['failures']} failures in a row but forgives only {timing['retries']}.",
            hint="Set retries to at least failures minus one, or leave it out.",
        )
    return timing


def _converted(key: str, option: Option, given: Mapping[str, Any], label: str) -> Any:
    return option.convert(given[key], f"{label}: {key}") if key in given else option.default


def _refuse_unknown(given: Mapping[str, Any], chosen: type[ProbeType], label: str) -> None:
    known = [*COMMON, *chosen.options]
    for key in given:
        if key not in known:
            raise SlipwayError(f"{label} has no option {key!r}.", hint=_suggest(str(key), known))


def _suggest(word: str, known: Sequence[str] | Mapping[str, Any]) -> str:
    close = difflib.get_close_matches(word, list(known), n=1)
    return f"Did you mean {close[0]}?" if close else f"Use one of {', '.join(sorted(known))}."


def parse_all(
    raw: Sequence[Mapping[str, Any]], types: Mapping[str, type[ProbeType]], defaults: Mapping[str, Any]
) -> list[Probe]:
    """All probes, or the first sentence about what is wrong with them."""
    probes = [parse(entry, types, defaults) for entry in raw]
    seen: set[str] = set()
    for probe in probes:
        if probe.name in seen:
            raise SlipwayError(f"Two probes are called {probe.name!r}.", hint="Give each probe a name of its own.")
        seen.add(probe.name)
    return probes
