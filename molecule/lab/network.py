# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The network that the servers and the services share."""

from __future__ import annotations

from settings import GATEWAY, LABEL, NETWORK, SUBNET
from shell import LabError, docker, run, say


def exists() -> bool:
    return run(["docker", "network", "inspect", NETWORK], check=False).returncode == 0


def ensure() -> None:
    if exists():
        return
    say(f"Making the network {NETWORK} ({SUBNET})")
    result = run(
        ["docker", "network", "create", "--subnet", SUBNET, "--gateway", GATEWAY, "--label", LABEL, NETWORK],
        check=False,
    )
    if result.returncode != 0:
        raise LabError(f"The network {SUBNET} could not be made: {result.stderr.strip()}")


def remove() -> None:
    if exists():
        docker("network", "rm", NETWORK)
