# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Data containers join the networks of a slot, so that `postgres` resolves there although it is another project."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .daemon import Daemon
from .override import DEFINITION
from .paths import DATA, StackPaths


def wanted(project: str, data_networks: Mapping[str, Sequence[str]]) -> list[tuple[str, str]]:
    """(service, network of the slot) for every network that a data service is on in the team's file."""
    return [(service, f"{project}_{name}") for service, names in sorted(data_networks.items()) for name in names]


def connect_data(daemon: Daemon, paths: StackPaths, slot: str, data_networks: Mapping[str, Sequence[str]]) -> int:
    """Connect what is not connected yet; return how many were."""
    members = {entry.service: entry for entry in daemon.containers(paths.project(DATA))}
    count = 0
    for service, network in wanted(paths.project(slot), data_networks):
        if service in members:
            count += daemon.connect(network, members[service], alias=service)
    return count


def fitting(
    daemon: Daemon,
    paths: StackPaths,
    slot: str,
    override: Mapping[str, Any],
    data_networks: Mapping[str, Sequence[str]],
) -> dict[str, set[str]]:
    """The networks of a slot that are as its override wants them, each with the data containers that stay on it.

    Data services talk to each other over them, and to make one anew cuts that off.
    """
    project = paths.project(slot)
    asked = {network["name"]: network["labels"][DEFINITION] for network in (override.get("networks") or {}).values()}
    made = {network.name: (network.attrs.get("Labels") or {}).get(DEFINITION) for network in daemon.networks(project)}
    members = {entry.service: entry.id for entry in daemon.containers(paths.project(DATA))}
    joining = [(members[service], name) for service, name in wanted(project, data_networks) if service in members]
    return {
        name: {member for member, joined in joining if joined == name}
        for name, definition in asked.items()
        if made.get(name) == definition
    }
