# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What each data service runs with, kept apart from the releases: it changes on purpose, never with a release.

A definition is the service's entry in the team's file, normalised by Compose, and what Slipway adds to it. Docker
Compose merges the two when it is called, as it does for a release.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..common.files import read_json, remove, write_json
from . import compose, fingerprint, override, record
from .model import Groups, Model
from .paths import DATA, StackPaths
from .spec import Spec

# Compose would ask for services, networks and settings that belong to others.
FOREIGN_KEYS = ("depends_on", "links", "profiles")
TOP_LEVEL = ("volumes", "networks", "configs", "secrets")
CURRENT, BEFORE = "", ".before"


@dataclass(frozen=True)
class Definition:
    """One data service as it runs, or as it should."""

    service: str
    mark: str
    image: str
    volumes: Mapping[str, str]  # name in the Compose file -> name on this host
    entry: Mapping[str, Any] = field(repr=False)
    addition: Mapping[str, Any] = field(repr=False)
    shown: str = ""

    @property
    def team(self) -> Mapping[str, Any]:
        """The service's entry in the team's file."""
        found: Mapping[str, Any] = self.entry["services"][self.service]
        return found


def make(spec: Spec, model: Model, life: Groups, service: str, image: str, paths: StackPaths, key: bytes) -> Definition:
    """The definition that the team's file asks for. `key` is the one of the secrets' fingerprints."""
    alone = Groups(data=(service,), exclusive=(), one_shot=(), migration=(), slot=())
    addition = override.for_data(spec, model, alone, 0, {service: image}, paths.project(DATA))
    entry = _entry(model, service)
    own = set(entry.get("volumes", {}))
    addition["volumes"] = {name: volume for name, volume in addition.get("volumes", {}).items() if name in own}
    return Definition(
        service=service,
        mark=record.definition(model, service, spec),
        image=image,
        volumes={name: str(model.volumes[name].get("name") or name) for name in sorted(own)},
        entry=entry,
        addition=addition,
        shown=_shown(spec, entry, service, image, key),
    )


def _entry(model: Model, service: str) -> dict[str, Any]:
    team = {name: value for name, value in model.services[service].items() if name not in FOREIGN_KEYS}
    mounted = {mount.get("source") for mount in team.get("volumes") or () if mount.get("type") == "volume"}
    used = {
        "volumes": mounted,
        "networks": set(team.get("networks") or {}),
        "configs": {use.get("source") for use in team.get("configs") or ()},
        "secrets": {use.get("source") for use in team.get("secrets") or ()},
    }
    top = {kind: _chosen(model.data.get(kind), used[kind]) for kind in TOP_LEVEL}
    return {"services": {service: team}, **{kind: found for kind, found in top.items() if found}}


def _chosen(given: Mapping[str, Any] | None, names: set[Any]) -> dict[str, Any]:
    return {name: value for name, value in (given or {}).items() if name in names}


def _shown(spec: Spec, entry: Mapping[str, Any], service: str, image: str, key: bytes) -> str:
    """The definition for a diff: environment values by fingerprint, because an env_file may hold secrets too."""
    team = dict(entry["services"][service])
    environment = team.get("environment") or {}
    team["environment"] = {
        name: value if value in spec.env.values() else f"(fingerprint {fingerprint.of_secret(str(value), key)})"
        for name, value in environment.items()
    }
    limits = spec.limits.get(service)
    if limits:
        team["limits"] = dict(limits)
    files = record.files_read(Model(entry), service, spec)
    if files:
        team["files"] = files
    text = json.dumps({"resolved image": image, **team}, indent=2, sort_keys=True) + "\n"
    for name, value in sorted(spec.secrets.items(), key=lambda pair: -len(pair[1])):
        escaped = json.dumps(value.replace("$", "$$"))[1:-1]
        if escaped:
            text = text.replace(escaped, f"(fingerprint {fingerprint.of_secret(value, key)} of {name})")
    return text


def _path(paths: StackPaths, service: str, which: str) -> Path:
    return paths.data / f"{service}{which}.json"


def read(paths: StackPaths, service: str, which: str = CURRENT) -> Definition | None:
    data = read_json(_path(paths, service, which))
    return Definition(**data) if data else None


def write(paths: StackPaths, definition: Definition, which: str = CURRENT) -> None:
    paths.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_json(_path(paths, definition.service, which), asdict(definition))


def forget(paths: StackPaths, service: str) -> None:
    for which in (CURRENT, BEFORE):
        remove(_path(paths, service, which))


def project(paths: StackPaths, found: Sequence[Definition]) -> compose.Project:
    """The data project with these services; its files are written anew from the definitions."""
    place = paths.data / "compose"
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    files = []
    for definition in found:
        for name, document in (("", definition.entry), (".override", definition.addition)):
            files.append(place / f"{definition.service}{name}.json")
            write_json(files[-1], document)
    return compose.Project(paths.project(DATA), str(paths.files), tuple(str(path) for path in files))
