# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Real failed logins from another address end in a ban of that address, and of no other."""

from __future__ import annotations

import subprocess
import time

from slipway_access import FRIEND, Ways

BOT = "10.77.0.240"
ATTEMPT = "for i in 1 2 3 4 5 6; do timeout 8 ssh {options} nobody-$i@{address} true; done"
OPTIONS = "-o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o ConnectTimeout=3"


def attempts(ways: Ways, address: str) -> str:
    """A machine of its own on the same network tries one name after the other; what it was told."""
    image = subprocess.run(
        ["docker", "inspect", "--format", "{{.Config.Image}}", ways.container],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    argv = [
        "docker",
        "run",
        "--rm",
        "--network",
        "slipway-lab",
        "--ip",
        address,
        "--entrypoint",
        "/bin/sh",
        image,
        "-c",
    ]
    script = ATTEMPT.format(options=OPTIONS, address=ways.server.address)
    return subprocess.run([*argv, script], capture_output=True, text=True, timeout=90, check=False).stderr


def banned_within(ways: Ways, seconds: float) -> bool:
    """Whether the firewall turns it away, by the port that the server has now."""
    rules = f"iptables -C INPUT -p tcp -m multiport --dports 22 -j f2b-sshd && iptables -S f2b-sshd | grep -F {BOT}/32"
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if ways.console.run(rules).rc == 0:
            return True
        time.sleep(0.5)
    return False


def test_a_bot_is_banned_and_nobody_else(ways: Ways) -> None:
    ways.console.check_output("fail2ban-client unban --all")
    assert "Permission denied" in attempts(ways, BOT)
    assert banned_within(ways, 20)
    assert "Permission denied" not in attempts(ways, BOT)
    assert ways.open()
    assert ways.banned() == [BOT]


def test_an_address_that_is_to_be_ignored_may_fail_as_often_as_it_likes(ways: Ways) -> None:
    ways.console.check_output("fail2ban-client unban --all")
    assert "Permission denied" in attempts(ways, FRIEND)
    assert ways.console.check_output(f"journalctl --unit ssh --quiet --grep 'nobody-1 from {FRIEND}'")
    # Time in which the other one was banned.
    time.sleep(5)
    assert FRIEND not in ways.banned()
