# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A change that locks the operator out takes itself back in time, whatever becomes of the run that made it."""

from __future__ import annotations

import subprocess
import threading
import time

import pytest
from slipway_access import REVERT, SLACK, Ways

OTHER_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMqTq8BGDZZQdYRGkMmCTKcBXMIu8ABOM7nhlE0pLvUH someone"
LOCKED_OUT = {
    "users": {"hardening_ssh_extra": "DenyUsers ops"},
    "key": {"hardening_users": [{"name": "ops", "keys": [OTHER_KEY]}], "hardening_ssh_permit_root_login": "no"},
    "firewall": {"__hardening_firewall_rules": [{"port": 443}]},
    # The server accepts this configuration, and then has nothing to listen on.
    "dead server": {"hardening_ssh_extra": "ListenAddress 192.0.2.1"},
}


class Watch(threading.Thread):
    """Tries to log in all the time, and notes how long nobody could."""

    def __init__(self, ways: Ways) -> None:
        super().__init__(daemon=True)
        self._ways = ways
        self._over = threading.Event()
        self.closed: list[float] = []

    def run(self) -> None:
        while not self._over.is_set():
            now = time.monotonic()
            if not self._ways.open():
                self.closed.append(now)
            time.sleep(1)

    def __enter__(self) -> Watch:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.join()

    @property
    def seconds(self) -> float:
        return self.closed[-1] - self.closed[0] if self.closed else 0.0


@pytest.mark.long
@pytest.mark.parametrize("cause", ["users", "key", "dead server"])
def test_what_locks_out_takes_itself_back(ways: Ways, cause: str) -> None:
    before = ways.rules()
    with Watch(ways) as watch:
        play = ways.harden(**LOCKED_OUT[cause])
    assert play.code != 0
    assert "No new login was possible with the new keys, SSH configuration or firewall" in " ".join(play.output.split())
    assert watch.closed, "nobody was locked out"
    assert watch.seconds < REVERT + SLACK
    assert ways.open()
    assert ways.settled()
    assert ways.rules() == before
    # All the attempts that failed are forgotten too.
    assert ways.banned() == []
    assert not ways.console.file("/etc/sudoers.d/slipway-ops").exists


@pytest.mark.parametrize("was", ["off", pytest.param("on", marks=pytest.mark.long)])
def test_a_firewall_without_the_rule_for_ssh_goes_back_to_what_it_was(ways: Ways, was: str) -> None:
    if was == "off":
        ways.console.check_output(
            "sed -i s/ENABLED=yes/ENABLED=no/ /etc/ufw/ufw.conf && /usr/lib/ufw/ufw-init force-stop"
        )
    before = ways.rules()
    policy = ways.console.check_output("iptables -S INPUT | head -n 1")
    with Watch(ways) as watch:
        play = ways.harden(**LOCKED_OUT["firewall"])
    assert play.code != 0
    assert "No new login was possible with the new keys, SSH configuration or firewall" in " ".join(play.output.split())
    assert 0 < watch.seconds < REVERT + SLACK
    assert ways.settled()
    assert ways.rules() == before
    assert ways.console.check_output("iptables -S INPUT | head -n 1") == policy
    assert ways.open()


def test_a_port_that_something_in_between_blocks_is_given_up(ways: Ways) -> None:
    before = ways.rules()
    block = "PREROUTING -p tcp --dport 2222 -j DROP"
    ways.console.check_output(f"iptables -t raw -I {block}")
    try:
        with Watch(ways) as watch:
            play = ways.harden(hardening_ssh_port=2222)
        assert play.code != 0
        # The old port was open all the time.
        assert watch.closed == []
    finally:
        ways.console.check_output(f"iptables -t raw -D {block}")
    assert ways.settled()
    assert ways.rules() == before
    assert ways.console.check_output("ss -Hltn 'sport = :2222'") == ""


def test_a_firewall_that_cannot_be_loaded_is_put_back_at_once(ways: Ways) -> None:
    before = ways.rules()
    play = ways.harden(__hardening_firewall_rules=[{"port": 22}, {"port": 70000}])
    assert play.code != 0
    assert "The new configuration could not be made live" in " ".join(play.output.split())
    assert ways.open()
    assert not ways.armed()
    assert ways.rules() == before
    assert ways.console.run("systemctl is-failed --quiet ufw.service").rc != 0


@pytest.mark.long
def test_a_controller_that_dies_leaves_nobody_outside(ways: Ways) -> None:
    before = ways.rules()
    ways.die_unproved(**LOCKED_OUT["key"])
    assert not ways.open()
    assert ways.opens_within(REVERT + SLACK)
    assert ways.settled()
    assert ways.rules() == before


@pytest.mark.long
def test_a_reboot_in_between_leaves_nobody_outside(ways: Ways) -> None:
    before = ways.rules()
    ways.die_unproved(**LOCKED_OUT["users"])
    subprocess.run(["docker", "restart", ways.container], check=True, capture_output=True, timeout=120)
    # Nobody but the timer of the host itself puts it right.
    assert not ways.open()
    assert ways.opens_within(REVERT + SLACK)
    assert ways.settled()
    assert ways.rules() == before


@pytest.mark.long
def test_the_next_run_proves_what_a_dead_one_did_not(ways: Ways) -> None:
    """The files are what is wanted, and yet the change must not vanish behind the run's back."""
    ways.die_unproved(**LOCKED_OUT["users"])
    # As if the cause had been elsewhere: the way in is free again, and the change still unproved.
    ways.console.check_output("sed -i '/^DenyUsers/d' /etc/ssh/sshd_config && systemctl reload ssh.service")
    ways.hardened()
    assert not ways.armed()
    time.sleep(REVERT + 2)
    assert ways.open()
    assert ways.hardened().changed == {ways.server.name: 0}
