# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Engine's daemon.json: our settings among those that somebody wrote by hand. Pure."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..common.errors import SlipwayError

PATH = "/etc/docker/daemon.json"
# What the Engine takes over at a SIGHUP; everything else it reads when it starts. Keys that it does reload but that we
# cannot see the effect of (runtimes, authorization plugins) are left out: a restart is never wrong.
RELOADABLE = frozenset(
    {
        "allow-nondistributable-artifacts",
        "debug",
        "features",
        "insecure-registries",
        "labels",
        "live-restore",
        "max-concurrent-downloads",
        "max-concurrent-uploads",
        "max-download-attempts",
        "registry-mirrors",
        "shutdown-timeout",
    }
)

Key = tuple[str, ...]


@dataclass(frozen=True)
class Ours:
    """What we set the last time, and what stood there before us."""

    set: Mapping[Key, Any] = field(default_factory=dict)
    replaced: Mapping[Key, Any] = field(default_factory=dict)

    def dump(self) -> dict[str, Any]:
        return {"set": _rows(self.set), "replaced": _rows(self.replaced)}

    @classmethod
    def load(cls, data: Mapping[str, Any] | None) -> Ours:
        known = data or {}
        return cls(*({tuple(key): value for key, value in known.get(name, ())} for name in ("set", "replaced")))


def _rows(settings: Mapping[Key, Any]) -> list[list[Any]]:
    return [[list(key), settings[key]] for key in sorted(settings)]


def parse(text: str, path: str = PATH) -> dict[str, Any]:
    """The settings in the file; none when it is empty."""
    if not text.strip():
        return {}
    try:
        found = json.loads(text)
    except ValueError as error:
        raise SlipwayError(
            f"{path} on this host is not JSON ({error}).",
            hint="Correct or remove it and run again; nothing was changed.",
        ) from error
    if not isinstance(found, dict):
        raise SlipwayError(f"{path} on this host is no object.", hint="It has to begin with { and end with }.")
    return found


def render(options: Mapping[str, Any]) -> str:
    return json.dumps(options, indent=2, sort_keys=True) + "\n"


def leaves(options: Mapping[str, Any], prefix: Key = ()) -> dict[Key, Any]:
    """Every setting by its way through the objects; a list is one value."""
    found: dict[Key, Any] = {}
    for name, value in options.items():
        key = (*prefix, name)
        if isinstance(value, Mapping) and value:
            found.update(leaves(value, key))
        else:
            found[key] = value
    return found


def merge(current: Mapping[str, Any], wanted: Mapping[str, Any], ours: Ours) -> tuple[dict[str, Any], Ours]:
    """What the file has to hold: ours wins where we set something, and what we no longer set is as it was before us."""
    result = copy.deepcopy(dict(current))
    setting = leaves(wanted)
    for key, value in ours.set.items():
        # What somebody changed since we wrote it is theirs.
        if key in setting or _get(result, key) != (value,):
            continue
        if key in ours.replaced:
            _put(result, key, ours.replaced[key])
        else:
            _drop(result, key)
    replaced = {key: value for key, value in ours.replaced.items() if key in setting}
    for key, value in setting.items():
        found = _get(result, key)
        if found and found != (value,) and key not in ours.set:
            replaced[key] = found[0]
        _put(result, key, value)
    return result, Ours(setting, replaced)


def _get(options: Mapping[str, Any], key: Key) -> tuple[Any, ...]:
    """The value in a tuple, or an empty one: None is a value too."""
    found: Any = options
    for name in key:
        if not isinstance(found, Mapping) or name not in found:
            return ()
        found = found[name]
    return (found,)


def _put(options: dict[str, Any], key: Key, value: Any) -> None:
    for name in key[:-1]:
        if not isinstance(options.get(name), dict):
            options[name] = {}
        options = options[name]
    options[key[-1]] = copy.deepcopy(value)


def _drop(options: dict[str, Any], key: Key) -> None:
    """Take a setting out, and the objects that are empty without it."""
    parents = [options]
    for name in key[:-1]:
        parents.append(parents[-1][name])
    del parents[-1][key[-1]]
    for name, parent, child in reversed(list(zip(key, parents, parents[1:], strict=False))):
        if not child:
            del parent[name]


def changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Names of the settings that differ, at the top of the file."""
    return sorted(name for name in {*before, *after} if _get(before, (name,)) != _get(after, (name,)))


def reloadable(names: Iterable[str]) -> bool:
    return set(names) <= RELOADABLE


def remapped(options: Mapping[str, Any]) -> bool:
    return bool(options.get("userns-remap"))


def refuse_nftables(options: Mapping[str, Any]) -> None:
    """The firewall of this host holds what containers publish in the chain DOCKER-USER, which only iptables has."""
    if options.get("firewall-backend") == "nftables":
        raise SlipwayError(
            "firewall-backend is nftables, with which the Engine has no chain DOCKER-USER: what containers publish "
            "would be open to everybody, whatever hardening_firewall_allow says.",
            hint=f"Take it out of docker_daemon_options and {PATH}, or set it to iptables. Nothing was changed.",
        )
