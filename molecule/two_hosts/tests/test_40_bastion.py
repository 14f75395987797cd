# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A host whose operator gets in through another host only: its SSH port changes, and the proof takes the same way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from slipway_access import NEW, SSH, Ways, inventory, listening, prepared
from slipway_lab import LAB, Server

pytestmark = pytest.mark.long

BASTION = "vps3"


@pytest.fixture
def ways(server: Server) -> Iterator[Ways]:
    with prepared(server) as found:
        yield found


@pytest.fixture
def closed(ways: Ways) -> Iterator[Ways]:
    """As a firewall of the provider's would have it: SSH from nobody but the bastion."""
    rule = f"PREROUTING ! -i lo -p tcp -m multiport --dports 22,{NEW} ! -s {Server(BASTION).address} -j DROP"
    ways.console.check_output(f"iptables -t raw -I {rule}")
    yield ways
    ways.console.check_output(f"iptables -t raw -D {rule}")


def test_the_port_changes_through_a_bastion(closed: Ways, tmp_path: Path) -> None:
    ways = closed
    assert not ways.open()
    jump = " ".join([*SSH, "-i", f"{LAB}/id_ed25519", "-W", "%h:%p", f"ops@{Server(BASTION).address}"])
    words = f'-o UserKnownHostsFile={LAB}/known_hosts -o IdentitiesOnly=yes -o ProxyCommand="{jump}"'

    ways.hardened(hardening_ssh_port=NEW, ansible_ssh_common_args=words)
    assert listening(ways) == {NEW}
    assert not ways.armed()

    again = ways.hardened(*inventory(ways, tmp_path, NEW), hardening_ssh_port=NEW, ansible_ssh_common_args=words)
    assert again.changed == {ways.server.name: 0}, again.changed_tasks()

    ways.hardened(*inventory(ways, tmp_path, NEW), hardening_ssh_port=22, ansible_ssh_common_args=words)
    assert listening(ways) == {22}
