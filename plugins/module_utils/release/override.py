# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Compose override that Slipway adds to the team's file. Pure: a model in, a document out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from typing import Any

from .model import Groups, Model
from .paths import DATA
from .ports import published
from .spec import Spec

LABEL = "vps.slipway"
DEFINITION = f"{LABEL}.definition"
LOG_DRIVER = "json-file"


def for_slot(
    spec: Spec,
    model: Model,
    life: Groups,
    slot: str,
    number: int,
    ports: Mapping[str, list[int]],
    images: Mapping[str, str],
    project: str,
    compose: str,
) -> dict[str, Any]:
    """The override of an application slot; `ports` are the slot's blocks by endpoint, `compose` is its version."""
    services = {name: _service(spec, model, name, slot, number, images[name]) for name in life.application}
    for name in (*life.one_shot, *life.migration):
        # What runs to its end must not be started again when the host boots.
        services[name]["restart"] = "no"
    for endpoint, block in ports.items():
        name, port = endpoint.rsplit(":", 1)
        services[name].setdefault("ports", []).append(
            {"target": int(port), "host_ip": "127.0.0.1", "published": published(block), "protocol": "tcp"}
        )
    document = _document(model, services, project)
    for name, network in document.get("networks", {}).items():
        network["labels"] = {DEFINITION: _definition(model.networks[name], compose)}
    return document


def _definition(network: Mapping[str, Any], compose: str) -> str:
    """Tells whether a network that is there is as it should be. Another Compose may not take it for its own."""
    return hashlib.sha256(json.dumps([compose, network], sort_keys=True).encode()).hexdigest()[:16]


def for_data(
    spec: Spec, model: Model, life: Groups, number: int, images: Mapping[str, str], project: str
) -> dict[str, Any]:
    """The override of the data project, which outlives every release."""
    services = {name: _service(spec, model, name, DATA, number, images[name]) for name in life.data}
    for service in services.values():
        # A label that changes with the release would make Compose want to recreate the database.
        del service["labels"][f"{LABEL}.release"]
    return _document(model, services, project)


def _service(spec: Spec, model: Model, name: str, slot: str, number: int, image: str) -> dict[str, Any]:
    team = model.services[name]
    service: dict[str, Any] = {
        "image": image,
        "pull_policy": "never",
        "restart": "unless-stopped",
        "labels": {
            f"{LABEL}.stack": spec.stack,
            f"{LABEL}.slot": slot,
            f"{LABEL}.release": str(number),
            f"{LABEL}.service": name,
        },
    }
    # Databases look after their children themselves. Redis hides the password of its command line, and an init beside
    # it would go on showing it to everybody on the host.
    if "init" not in team and slot != DATA:
        service["init"] = True
    if not team.get("logging"):
        service["logging"] = {
            "driver": LOG_DRIVER,
            "options": {"max-size": spec.log_max_size, "max-file": str(spec.log_max_files)},
        }
    if spec.limits.get(name):
        service["deploy"] = {"resources": {"limits": dict(spec.limits[name])}}
    return service


def _document(model: Model, services: Mapping[str, Any], project: str) -> dict[str, Any]:
    document: dict[str, Any] = {"services": dict(services)}
    used = _used_networks(model, services)
    networks = {
        name: {"name": f"{project}_{name}"}
        for name, network in model.networks.items()
        if name in used and not network.get("external")
    }
    # The model was read under the stack's own name, so that its volume names are the ones that all projects share.
    volumes = {name: {"name": volume["name"]} for name, volume in model.volumes.items() if not volume.get("external")}
    if networks:
        document["networks"] = networks
    if volumes:
        document["volumes"] = volumes
    return document


def _used_networks(model: Model, services: Collection[str]) -> set[str]:
    return {network for name in services for network in model.service_networks(name)}
