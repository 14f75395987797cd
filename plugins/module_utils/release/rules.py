# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a Compose file must not do, because a release could not keep its promises. Pure: a model in, sentences out."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Collection, Iterator
from typing import Any

from ..common.errors import SlipwayError
from .model import Model, groups, named
from .spec import Spec

Problem = tuple[str, str]

HEALTH_CHECK_EXAMPLE = (
    'healthcheck: {{test: ["CMD", "curl", "-fsS", "http://127.0.0.1:{port}{path}"], interval: 5s, retries: 5}}'
)


def check(spec: Spec, model: Model) -> None:
    """Refuse with every problem at once, so that nobody has to find them one by one."""
    problems = [problem for rule in RULES for problem in rule(spec, model)]
    if not problems:
        return
    message = " ".join(dict.fromkeys(sentence for sentence, _hint in problems))
    hint = " ".join(dict.fromkeys(hint for _sentence, hint in problems))
    raise SlipwayError(message, hint=hint, details={"problems": [f"{text} {hint}" for text, hint in problems]})


def _names(spec: Spec, model: Model) -> Iterator[Problem]:
    known = set(model.services)
    wanted: list[tuple[str, str]] = [
        *((route.service, f"the route {route.name}") for route in spec.routes),
        *((name, "stack_data_services") for name in spec.data_services),
        *((name, "stack_exclusive_services") for name in spec.exclusive_services),
        *((name, "stack_replicas") for name in spec.replicas),
        *((name, "stack_limits") for name in spec.limits),
        *((name, "stack_digests") for name in spec.digests),
        *((command.service, f"the hook {moment}") for moment, hooks in spec.hooks.items() for command in hooks),
    ]
    if spec.migrate:
        wanted.append((spec.migrate.service, "stack_migrate"))
    for name, where in wanted:
        if name not in known:
            yield (
                f"The Compose file has no service {name}, which {where} names.",
                f"Its services are: {named(known) or 'none'}.",
            )


def _roles_of_services(spec: Spec, model: Model) -> Iterator[Problem]:
    for route in spec.routes:
        if route.service in spec.data_services:
            yield (
                f"The route {route.name} leads to the data service {route.service}.",
                "Data services are never published; route to an application service.",
            )
        if route.service in spec.exclusive_services:
            yield (
                f"The route {route.name} leads to the exclusive service {route.service}.",
                "An exclusive service runs in one slot only and cannot take traffic; take it out of one of the two.",
            )
    for name in sorted(set(spec.data_services) & set(spec.exclusive_services)):
        yield (f"{name} is both a data service and an exclusive service.", "Keep it in one of the two lists.")
    for name, count in spec.replicas.items():
        if count > 1 and name in {*spec.data_services, *spec.exclusive_services}:
            yield (f"stack_replicas asks for {count} of {name}, which may run once only.", "Leave it out there.")
    for name in sorted({*spec.data_services, *spec.exclusive_services} & set(model.services) - set(spec.replicas)):
        count = model.replicas(name, {})
        if count > 1:
            yield (
                f"The Compose file asks for {count} replicas of {name}, which may run once only.",
                "Remove its scale or deploy.replicas.",
            )


def _container_names(_spec: Spec, model: Model) -> Iterator[Problem]:
    for name, service in model.services.items():
        if service.get("container_name"):
            yield (
                f"The service {name} has the container_name {service['container_name']}: two slots cannot share it.",
                "Remove container_name; inside its network the service is reached by its own name.",
            )


def _images(_spec: Spec, model: Model) -> Iterator[Problem]:
    for name, service in model.services.items():
        if not service.get("image"):
            yield (
                f"The service {name} has no image: the host runs images, it does not build them.",
                "Build and push it, and give the service an image such as registry.example.org/shop/api:${RELEASE}.",
            )


def _published(spec: Spec, model: Model) -> Iterator[Problem]:
    for name, service in model.services.items():
        for port in service.get("ports") or []:
            shown = ":".join(str(port[key]) for key in ("host_ip", "published", "target") if port.get(key))
            if name in spec.data_services:
                yield (
                    f"The data service {name} publishes port {shown}: a database must not be reachable from outside.",
                    f"Remove ports from {name}; the other services reach it by its name.",
                )
            elif port.get("published"):
                yield (
                    f"The service {name} publishes the fixed port {shown}: two slots cannot share it.",
                    f"Remove ports from {name} and describe it in stack_routes; Slipway publishes it on loopback.",
                )
            elif not _loopback(port):
                yield (
                    f"The service {name} publishes port {shown} on every address of the host, past the firewall.",
                    f"Remove ports from {name} and describe it in stack_routes.",
                )


def _loopback(port: dict[str, Any]) -> bool:
    try:
        return ipaddress.ip_address(port.get("host_ip") or "").is_loopback
    except ValueError:
        return False  # no address means every address


def _health(spec: Spec, model: Model) -> Iterator[Problem]:
    for name in _routed(spec, model):
        if model.disables_health_check(name):
            yield unchecked(spec, name)


def _routed(spec: Spec, model: Model) -> list[str]:
    return sorted({route.service for route in spec.routes} & set(model.services))


def unchecked(spec: Spec, service: str) -> Problem:
    """The sentence about a routed service without a health check, with one that suits its route."""
    route = next(route for route in spec.routes if route.service == service)
    example = HEALTH_CHECK_EXAMPLE.format(port=route.port, path=route.health.path)
    return (
        f"The routed service {service} has no health check, so nobody could tell when it can take traffic.",
        f"Add one to it in the Compose file, for example: {example} (or HEALTHCHECK to the Dockerfile of its image).",
    )


def refuse_unchecked(spec: Spec, model: Model, in_images: Collection[str]) -> None:
    """Once the images are here: a health check may come from the Compose file or from the image."""
    for name in _routed(spec, model):
        if not model.has_health_check(name) and name not in in_images:
            sentence, hint = unchecked(spec, name)
            raise SlipwayError(sentence, hint=hint)


def _network_modes(spec: Spec, model: Model) -> Iterator[Problem]:
    for name, service in model.services.items():
        if service.get("network_mode") == "host":
            yield (
                f"The service {name} uses the host's network, where two slots would want the same ports.",
                "Remove network_mode: host.",
            )
        for network, settings in (service.get("networks") or {}).items():
            if name not in spec.data_services and (settings or {}).get("ipv4_address"):
                yield (
                    f"The service {name} has a fixed address in the network {network}: two slots cannot share it.",
                    "Remove ipv4_address; services reach each other by name.",
                )


def _subnets(_spec: Spec, model: Model) -> Iterator[Problem]:
    for name, network in model.networks.items():
        pools = (network.get("ipam") or {}).get("config") or []
        if not network.get("external") and any(pool.get("subnet") for pool in pools):
            yield (
                f"The network {name} has a fixed subnet: each slot has a network of its own, and they would overlap.",
                "Remove ipam from that network.",
            )


def _dependencies(spec: Spec, model: Model) -> Iterator[Problem]:
    life = groups(model, spec)
    for name in life.data:
        for needed in model.dependencies(name):
            if needed not in life.data:
                yield (
                    f"The data service {name} depends on {needed}, which comes and goes with each release.",
                    f"Remove that depends_on, or put {needed} into stack_data_services.",
                )
    for name in life.slot + life.one_shot:
        for needed in model.dependencies(name):
            if needed in life.exclusive:
                yield (
                    f"The service {name} depends on the exclusive service {needed}, which starts after the switch.",
                    "Remove that depends_on, or take it out of stack_exclusive_services.",
                )


RULES: tuple[Callable[[Spec, Model], Iterator[Problem]], ...] = (
    _names,
    _roles_of_services,
    _container_names,
    _images,
    _published,
    _health,
    _network_modes,
    _subnets,
    _dependencies,
)


def warnings(spec: Spec, model: Model) -> list[str]:
    """What is allowed and yet worth knowing."""
    found = [
        f"The routed service {name} has no health check in the Compose file: its image has to bring one."
        for name in _routed(spec, model)
        if not model.has_health_check(name)
    ]
    for name, network in model.networks.items():
        users = [s for s in model.services if name in model.service_networks(s) and s not in spec.data_services]
        if network.get("external") and users:
            found.append(
                f"The external network {name} is shared by both slots: while a release is under way, {named(users)} "
                "can resolve to either of them there."
            )
    return found
