# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where systemd listens for sshd (the default of some releases), its port counts, and not that of sshd_config."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest
from slipway_access import REVERT, SLACK, Ways

NEW = 2222


@pytest.fixture
def by_socket(ways: Ways) -> Iterator[Ways]:
    ways.console.check_output(
        "systemctl disable --quiet --now ssh.service && systemctl enable --quiet --now ssh.socket"
    )
    assert ways.open()
    yield ways
    ways.console.run(
        "systemctl disable --quiet --now ssh.socket ssh.service; systemctl enable --quiet --now ssh.service"
    )


def listener(ways: Ways) -> str:
    return str(ways.console.check_output("systemctl show --property=Listen --value ssh.socket"))


def reboot(ways: Ways) -> None:
    subprocess.run(["docker", "restart", ways.container], check=True, capture_output=True, timeout=120)
    ways.console.run("for i in $(seq 100); do systemctl is-active --quiet ssh.socket && break; sleep 0.1; done")
    assert ways.console.check_output("systemctl is-active ssh.socket") == "active"


@pytest.mark.long
def test_the_port_changes(by_socket: Ways) -> None:
    ways = by_socket
    ways.hardened(hardening_ssh_port=NEW)
    assert str(NEW) in listener(ways)
    assert ways.open(NEW)
    assert not ways.open(22)


@pytest.mark.long
def test_the_port_stays_after_a_second_run_and_a_reboot(by_socket: Ways) -> None:
    ways = by_socket
    ways.hardened(hardening_ssh_port=NEW)
    again = ways.hardened(hardening_ssh_port=NEW)
    assert again.changed == {ways.server.name: 0}, again.changed_tasks()
    reboot(ways)
    assert ways.open(NEW)
    assert not ways.open(22)


def test_neither_a_dead_controller_nor_a_reboot_leave_anybody_outside(by_socket: Ways) -> None:
    ways = by_socket
    before = listener(ways)
    ways.die_unproved(hardening_ssh_extra="DenyUsers ops")
    reboot(ways)
    # Nobody but the timer of the host itself puts it right.
    assert not ways.open()
    assert ways.opens_within(REVERT + SLACK)
    assert ways.settled()
    assert listener(ways) == before
    # All the attempts in between are forgotten.
    assert ways.banned() == []
    assert not ways.console.file("/etc/systemd/system/ssh.socket.d/60-slipway.conf").exists
