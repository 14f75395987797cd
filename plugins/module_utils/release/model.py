# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The normalised Compose model, and the questions that the engine asks it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..common.errors import SlipwayError
from .spec import Spec

COMPLETED = "service_completed_successfully"


@dataclass(frozen=True)
class Model:
    """What `docker compose config --format json` printed."""

    data: Mapping[str, Any]

    @property
    def services(self) -> Mapping[str, Mapping[str, Any]]:
        return self.data.get("services") or {}

    @property
    def networks(self) -> Mapping[str, Mapping[str, Any]]:
        return {name: network or {} for name, network in (self.data.get("networks") or {}).items()}

    @property
    def volumes(self) -> Mapping[str, Mapping[str, Any]]:
        return {name: volume or {} for name, volume in (self.data.get("volumes") or {}).items()}

    def image(self, service: str) -> str:
        return str(self.services[service].get("image") or "")

    def dependencies(self, service: str) -> Mapping[str, Mapping[str, Any]]:
        return self.services[service].get("depends_on") or {}

    def service_networks(self, service: str) -> list[str]:
        return sorted(self.services[service].get("networks") or {})

    def replicas(self, service: str, wanted: Mapping[str, int]) -> int:
        if service in wanted:
            return wanted[service]
        entry = self.services[service]
        return int(entry.get("scale") or (entry.get("deploy") or {}).get("replicas") or 1)

    def has_health_check(self, service: str) -> bool:
        check = self.services[service].get("healthcheck") or {}
        return bool(check.get("test")) and not self.disables_health_check(service)

    def disables_health_check(self, service: str) -> bool:
        """Switched off in the file, so that a health check of the image does not count either."""
        check = self.services[service].get("healthcheck") or {}
        return bool(check.get("disable")) or (check.get("test") or [""])[0] == "NONE"


@dataclass(frozen=True)
class Groups:
    """Which services live where in their life."""

    data: tuple[str, ...]
    exclusive: tuple[str, ...]
    one_shot: tuple[str, ...]  # run to their end before others start
    migration: tuple[str, ...]  # exist only to be run by `migrate`
    slot: tuple[str, ...]  # run in a slot as long as it serves

    @property
    def application(self) -> tuple[str, ...]:
        """Everything whose image belongs to the release."""
        return tuple(sorted({*self.exclusive, *self.one_shot, *self.migration, *self.slot}))


def groups(model: Model, spec: Spec) -> Groups:
    """Sort the services of the file."""
    names = set(model.services)
    data = names & set(spec.data_services)
    exclusive = names & set(spec.exclusive_services)
    migration = set()
    if spec.migrate and not spec.migrate.argv and spec.migrate.service not in {r.service for r in spec.routes}:
        migration = {spec.migrate.service} & names - data - exclusive
    one_shot = {
        needed
        for service in names
        for needed, how in model.dependencies(service).items()
        if how.get("condition") == COMPLETED
    } & names
    one_shot -= data | exclusive | migration
    slot = names - data - exclusive - migration - one_shot
    return Groups(*(tuple(sorted(group)) for group in (data, exclusive, one_shot, migration, slot)))


def waves(model: Model, services: Collection[str]) -> list[list[str]]:
    """The services in the order in which they may start: each wave needs only the waves before it."""
    left = {name: set(model.dependencies(name)) & set(services) - {name} for name in services}
    ordered: list[list[str]] = []
    while left:
        ready = sorted(name for name, needs in left.items() if not needs & set(left))
        if not ready:
            raise SlipwayError(
                f"The services {', '.join(sorted(left))} depend on each other in a circle.",
                hint="Remove one depends_on of the circle from the Compose file.",
            )
        ordered.append(ready)
        for name in ready:
            del left[name]
    return ordered


def endpoints(spec: Spec, model: Model) -> dict[str, int]:
    """How many host ports each `service:port` of the routes needs in a slot."""
    return {route.endpoint: model.replicas(route.service, spec.replicas) for route in spec.routes}


def pinned(model: Model, volumes: Mapping[str, str]) -> Model:
    """The same model with some named volumes under the names that they have on this host."""
    known = {
        name: {**volume, "name": volumes[name]} if name in volumes and not volume.get("external") else volume
        for name, volume in model.volumes.items()
    }
    return Model({**model.data, "volumes": known}) if volumes else model


def named(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
