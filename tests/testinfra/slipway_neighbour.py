# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A stranger on the same network as a server: what of its ports is open, over IPv4 and IPv6 and by tricks."""

from __future__ import annotations

import ipaddress
import json
import shlex
import subprocess
from typing import Any

from slipway_lab import Server

# The lab's own network has IPv4 only.
LINK = "slipway-lab-link"
SUBNETS = (ipaddress.ip_network("10.78.0.0/24"), ipaddress.ip_network("fd78::/64"))
NAMESPACE = "stranger"
# All at once, because what is closed does not answer.
KNOCK = """
import json, socket, sys
from concurrent.futures import ThreadPoolExecutor

def answers(target):
    address, port = target.rsplit(":", 1)
    try:
        with socket.create_connection((address, int(port)), timeout=2):
            return True
    except OSError:
        return False

targets = sys.argv[1:]
with ThreadPoolExecutor(32) as pool:
    print(json.dumps(dict(zip(targets, pool.map(answers, targets)))))
"""


def docker(*words: str, check: bool = True) -> str:
    """The lab's own Engine."""
    return subprocess.run(["docker", *words], check=check, capture_output=True, text=True).stdout


class Link:
    """A second cable between two servers, with IPv6."""

    def __init__(self, *servers: Server) -> None:
        self._servers = servers

    def addresses(self, server: Server) -> tuple[str, str]:
        number = int(server.address.rsplit(".", 1)[1])
        # In the notation of IPv6 the same digits, so that people recognise them.
        return f"10.78.0.{number}", f"fd78::{number}"

    def plug(self) -> None:
        self.unplug()
        subnets = [word for subnet in SUBNETS for word in ("--subnet", str(subnet))]
        # Internal: the servers' way out stays as it is.
        docker("network", "create", "--internal", "--ipv6", *subnets, "--label", "slipway-lab", LINK)
        for server in self._servers:
            four, six = self.addresses(server)
            docker("network", "connect", "--ip", four, "--ip6", six, LINK, f"slipway-lab-{server.name}")

    def unplug(self) -> None:
        for server in self._servers:
            docker("network", "disconnect", "--force", LINK, f"slipway-lab-{server.name}", check=False)
        docker("network", "rm", LINK, check=False)


class Stranger:
    """A machine of its own on the neighbour's cables: own addresses, own routes, and no loopback of its own."""

    def __init__(self, neighbour: Server, link: Link) -> None:
        self._vps = neighbour.vps
        number = int(neighbour.address.rsplit(".", 1)[1])
        self._cables = {
            neighbour.address: f"10.77.0.{100 + number}",
            link.addresses(neighbour)[1]: f"fd78::{100 + number}",
        }

    def _run(self, *argv: str) -> str:
        return str(self._vps.check_output(shlex.join(argv)))

    def __enter__(self) -> Stranger:
        self._leave()
        self._run("ip", "netns", "add", NAMESPACE)
        for number, (there, here) in enumerate(self._cables.items()):
            name = f"stranger{number}"
            self._run("ip", "link", "add", name, "link", self._interface(there), "type", "macvlan", "mode", "bridge")
            self._run("ip", "link", "set", name, "netns", NAMESPACE)
            self.ip(
                "address",
                "add",
                f"{here}/{24 if '.' in here else 64}",
                "dev",
                name,
                *([] if "." in here else ["nodad"]),
            )
            self.ip("link", "set", name, "up")
            # Else it would not even send what is meant for the other's loopback.
            self._run(*self._inside("sysctl", "--quiet", f"net.ipv4.conf.{name}.route_localnet=1"))
        return self

    def __exit__(self, *_: object) -> None:
        self._leave()

    def _leave(self) -> None:
        self._vps.run(f"ip netns delete {NAMESPACE}")

    def _interface(self, address: str) -> str:
        found: list[dict[str, Any]] = json.loads(self._run("ip", "-json", "address", "show", "to", address))
        return str(next(entry["ifname"] for entry in found if entry))

    def _inside(self, *argv: str) -> tuple[str, ...]:
        return ("ip", "netns", "exec", NAMESPACE, *argv)

    def ip(self, *words: str) -> None:
        self._run("ip", "-netns", NAMESPACE, *words)

    def route(self, to: str, through: str) -> None:
        self.ip("route", "replace", to, "via", through)

    def knocks(self, *targets: str) -> dict[str, bool]:
        """Which of the targets (`address:port`) take a connection."""
        found: dict[str, bool] = json.loads(self._run(*self._inside("python3", "-c", KNOCK, *targets)))
        return found
