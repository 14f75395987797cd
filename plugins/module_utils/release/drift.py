# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What on the host is not as the active release needs it. Read-only; each finding is a sentence."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from . import cpu, edge, networks, static
from .daemon import Container
from .host import Host, Serving
from .paths import DATA, other
from .record import Record
from .state import State
from .store import DIRECTORIES, SECRET_MODE


def findings(host: Host, current: State, serving: Serving) -> list[str]:
    """All of them; empty if the active release is up and everything about it is in place."""
    active, slot = serving.record, serving.slot
    found = [*_containers(host, active, slot), *_files(host, current, serving)]
    if edge.flagged(host.paths) != slot:
        found.append(f"The flag names the slot {edge.flagged(host.paths)}, release {active.number} is in {slot}.")
    return found


def _containers(host: Host, active: Record, slot: str) -> Iterator[str]:
    serving = host.daemon.containers(host.paths.project(slot))
    data = host.daemon.containers(host.paths.project(DATA))
    yield from missing("slot " + slot, serving, active.running)
    yield from missing("data project", data, dict.fromkeys(active.groups.data, 1))
    for entry, _wanted in cpu.bounded(serving):
        yield f"The container {entry.name} still has the small share of the CPU that it booted with."
    if any(entry.running for entry in host.daemon.containers(host.paths.project(other(slot)))):
        yield f"The slot {other(slot)} runs although slot {slot} serves."
    on = {entry.service: entry.networks for entry in data}
    present = {network.name for network in host.daemon.networks(host.paths.project(slot))}
    for service, network in networks.wanted(host.paths.project(slot), active.data_networks):
        if network in present and service in on and network not in on[service]:
            yield f"The data service {service} is not on the network {network}."


def missing(where: str, containers: Iterable[Container], expected: Mapping[str, int]) -> Iterator[str]:
    """Services with fewer containers up than they should have."""
    up: dict[str, int] = {}
    for entry in containers:
        if entry.running and entry.health != "unhealthy":
            up[entry.service] = up.get(entry.service, 0) + 1
    for service, count in sorted(expected.items()):
        if up.get(service, 0) < count:
            yield f"In the {where}, {up.get(service, 0)} of {count} containers of {service} are up."


def _files(host: Host, current: State, serving: Serving) -> Iterator[str]:
    active, slot = serving.record, serving.slot
    if edge.current(host.paths) != host.nginx_files(active.spec, current):
        yield f"The Nginx files below {host.paths.nginx} are not those of release {active.number}."
    text = host.paths.slot_text(slot)
    if not text.exists() or text.read_text(encoding="utf-8") != edge.slot_text(slot, active.number, active.name):
        yield f"{text} does not name release {active.number}."
    for name, mode in DIRECTORIES.items():
        place = host.paths.root / name
        if not place.is_dir() or place.stat().st_mode & 0o7777 != mode:
            yield f"The directory {place} does not have the mode {mode:04o}."
    for path in sorted(host.paths.release(active.number).iterdir()):
        if path.is_file() and path.stat().st_mode & 0o7777 != SECRET_MODE:
            yield f"The file {path} does not have the mode {SECRET_MODE:04o}."
    for place in static.missing(host.paths, active, slot):
        yield f"The files that Nginx serves from {place} are gone."
