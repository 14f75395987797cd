# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From the name of a container to the address at which its host reaches it."""

from __future__ import annotations

from typing import Any

from ..common import require
from ..common.errors import SlipwayError

LOOPBACK = "127.0.0.1"
PROJECT = "com.docker.compose.project"


def of_container(name: str) -> str:
    """The network address of a running container on this host. Nothing needs to be published for it."""
    return from_attributes(name, _inspect(name))


def from_attributes(name: str, attributes: dict[str, Any]) -> str:
    """Read the address out of what `docker inspect` says."""
    state = attributes.get("State", {}).get("Status", "unknown")
    if state != "running":
        raise SlipwayError(
            f"The container {name} is {state}, not running.",
            hint=f"Start it, and read its log with: docker logs {name}",
        )
    if attributes.get("HostConfig", {}).get("NetworkMode") == "host":
        return LOOPBACK
    networks = attributes.get("NetworkSettings", {}).get("Networks") or {}
    # Of its own Compose project first: those of a release may go with it, and the connection with them.
    own = f"{(attributes.get('Config', {}).get('Labels') or {}).get(PROJECT)}_"
    for network in sorted(networks, key=lambda name: (not name.startswith(own), name)):
        address = networks[network].get("IPAddress") or networks[network].get("GlobalIPv6Address")
        if address:
            return str(address)
    raise SlipwayError(
        f"The container {name} is on no network that this host can reach.",
        hint="Attach it to a bridge network, or give login_host instead of login_container.",
    )


def _inspect(name: str) -> dict[str, Any]:
    docker = require.load("docker", "python3-docker")
    try:
        client = docker.from_env()
        try:
            attributes: dict[str, Any] = client.containers.get(name).attrs
        finally:
            client.close()
    except docker.errors.NotFound as error:
        raise SlipwayError(
            f"There is no container named {name} on this host.",
            hint="List them with: docker ps --all",
        ) from error
    except docker.errors.DockerException as error:
        raise SlipwayError(
            f"Docker Engine did not answer when asked about container {name}: {error}.",
            hint="Look at: systemctl status docker",
        ) from error
    return attributes
