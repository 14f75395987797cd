# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A release as it is kept: everything needed to start, check and describe it again without asking Compose."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from .model import Groups, Model, groups, waves
from .paths import StackPaths
from .spec import Spec, parse

# PostgreSQL's images read what lies here once, into an empty database.
FIRST_START = "/docker-entrypoint-initdb.d"


@dataclass(frozen=True)
class Record:
    """One release of one stack."""

    number: int
    spec: Spec
    groups: Groups
    waves: tuple[tuple[str, ...], ...]
    counts: Mapping[str, int]
    checked: tuple[str, ...]
    images: Mapping[str, str]
    data_networks: Mapping[str, tuple[str, ...]]
    data_definitions: Mapping[str, str]
    fingerprint: str
    created: str
    by: str
    served: bool = False
    origin: Mapping[str, str] = field(default_factory=dict)
    templates: Mapping[str, str] = field(default_factory=dict)  # checksums of the tenants' SQL templates
    follows: int | None = None  # the release that served when this one was made
    dump: str = ""  # the backup that was made before its migration

    @property
    def name(self) -> str:
        return self.spec.release

    @property
    def label(self) -> str:
        """How people read it."""
        return f"release {self.name} (number {self.number})"

    @property
    def scale(self) -> dict[str, int]:
        return {name: self.counts[name] for name in self.groups.slot}

    @property
    def starting(self) -> tuple[str, ...]:
        """What is started before the traffic moves."""
        return tuple(name for wave in self.waves for name in wave)

    @property
    def running(self) -> dict[str, int]:
        """What must be up while the release serves."""
        return {**self.scale, **dict.fromkeys(self.groups.exclusive, 1)}


def make(
    number: int,
    spec: Spec,
    model: Model,
    images: Mapping[str, str],
    fingerprint: str,
    created: str,
    by: str,
    templates: Mapping[str, str] | None = None,
    follows: int | None = None,
) -> Record:
    """The record of a release that has not run yet."""
    life = groups(model, spec)
    return Record(
        number=number,
        spec=spec,
        groups=life,
        waves=tuple(tuple(wave) for wave in waves(model, life.slot + life.one_shot)),
        counts={name: model.replicas(name, spec.replicas) for name in model.services},
        checked=tuple(sorted(name for name in model.services if model.has_health_check(name))),
        images=images,
        data_networks={name: tuple(model.service_networks(name)) for name in life.data},
        data_definitions={name: definition(model, name, spec) for name in life.data},
        fingerprint=fingerprint,
        created=created,
        by=by,
        origin={name: model.image(name) for name in model.services},
        templates=templates or {},
        follows=follows,
    )


def with_checks(release: Record, model: Model, in_images: Collection[str]) -> Record:
    """The same release, now that it is known which images bring a health check of their own."""
    from_images = {name for name in in_images if name in model.services and not model.disables_health_check(name)}
    return replace(release, checked=tuple(sorted({*release.checked, *from_images})))


def definition(model: Model, service: str, spec: Spec | None = None) -> str:
    """Changes when the definition of a data service does: its entry in the file, its limits, the files it reads."""
    content: dict[str, Any] = dict(model.services[service])
    if spec and spec.limits.get(service):
        content["x-limits"] = spec.limits[service]
    read = files_read(model, service, spec) if spec else {}
    if read:
        content["x-files"] = read
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def files_read(model: Model, service: str, spec: Spec) -> dict[str, str]:
    """Checksums of the files of stack_files that the service is given. What only fills a new database is left out."""
    entry = model.services[service]
    sources = [
        str(mount.get("source"))
        for mount in entry.get("volumes") or ()
        if mount.get("type") == "bind" and not str(mount.get("target")).startswith(FIRST_START)
    ]
    for kind in ("configs", "secrets"):
        top = model.data.get(kind) or {}
        sources += [str((top.get(use.get("source")) or {}).get("file")) for use in entry.get(kind) or ()]
    project = StackPaths(spec.stack).files
    places = [Path(source).relative_to(project) for source in sources if Path(source).is_relative_to(project)]
    return {
        name: checksum
        for name, checksum in sorted(spec.files.items())
        if any(Path(name).is_relative_to(place) for place in places)
    }


def dump(record: Record) -> dict[str, Any]:
    """For release.json: no secrets, and the Compose text has a file of its own."""
    data = asdict(record)
    data["spec"] = record.spec.public()
    del data["spec"]["compose"], data["images"]
    return data


def load(data: Mapping[str, Any], compose: str, secrets: Mapping[str, str], images: Mapping[str, str]) -> Record:
    return Record(
        number=data["number"],
        spec=parse({**data["spec"], "compose": compose, "secrets": secrets}),
        groups=Groups(**{name: tuple(services) for name, services in data["groups"].items()}),
        waves=tuple(tuple(wave) for wave in data["waves"]),
        counts=data["counts"],
        checked=tuple(data["checked"]),
        images=images,
        data_networks={name: tuple(networks) for name, networks in data["data_networks"].items()},
        data_definitions=data["data_definitions"],
        fingerprint=data["fingerprint"],
        created=data["created"],
        by=data["by"],
        served=data["served"],
        origin=data["origin"],
        templates=data.get("templates", {}),
        follows=data.get("follows"),
        dump=data.get("dump", ""),
    )
