# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A wish that would end the run's own access is refused, and nothing is changed."""

from __future__ import annotations

from typing import Any

import pytest
from slipway_access import Ways

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMqTq8BGDZZQdYRGkMmCTKcBXMIu8ABOM7nhlE0pLvUH someone"
CHANGED = (
    "find /etc /home /root /var/lib/slipway -xdev -newer /run/before -type f ! -name '*.swp' ! -path '/root/.ansible/*'"
)


def refused(ways: Ways, *arguments: str, **values: Any) -> str:
    """What a run said that ended before it changed a file."""
    ways.console.check_output("touch /run/before && mkdir -p /var/lib/slipway")
    play = ways.harden(*arguments, **values)
    assert play.code != 0
    assert play.changed_tasks() == []
    assert ways.console.check_output(CHANGED) == ""
    # As one line, however it was folded.
    return " ".join(play.output.split())


def test_every_problem_is_told_at_once(ways: Ways) -> None:
    said = refused(
        ways,
        hardening_users=[
            {"name": "alex", "keys": []},
            {"name": "sam", "keys": ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5 sam"]},
            {"name": "kim", "keys": [KEY]},
        ],
        hardening_users_absent=["ops", "kim", "www-data"],
        hardening_ssh_allow_users=["kim"],
        # Nginx is there.
        hardening_ssh_port=80,
    )
    for sentence in (
        "alex is in hardening_users without a key and could never log in.",
        "Key 1 of sam in hardening_users (ssh-ed25519 AAAAC3NzaC1l...) is no public key.",
        "kim is in hardening_users and in hardening_users_absent. Take it out of one of them.",
        "This play logs in as ops, who is in hardening_users_absent.",
        "www-data is in hardening_users_absent and is a user of the system",
        "This play logs in as ops, and hardening_ssh_allow_users would no longer let it in.",
        "Port 80 is taken by another program than the SSH server.",
    ):
        assert sentence in said, said
    assert "7 problems must be solved first" in said


def test_root_is_not_locked_out_by_root(ways: Ways) -> None:
    said = refused(ways, "--extra-vars", "ansible_user=root", hardening_ssh_permit_root_login="no")
    assert "Nothing was changed. This play logs in as root, and the wanted SSH configuration would no longer" in said


@pytest.mark.parametrize(
    ("hidden", "sentence"),
    [
        ("/etc/sudoers.d/ops", "ops may not become root on {host}:"),
        ("/usr/bin/sudo", "{host} has no sudo, and ops is not root. Install it there"),
    ],
)
def test_a_user_who_cannot_become_root_is_told_so(ways: Ways, hidden: str, sentence: str) -> None:
    ways.console.check_output(f"mv {hidden} /root/hidden")
    try:
        play = ways.harden()
    finally:
        ways.console.check_output(f"mv /root/hidden {hidden}")
    assert play.code != 0
    assert sentence.format(host=ways.server.name) in " ".join(play.output.split())


@pytest.mark.long
def test_configuring_alone_is_checked_as_well(ways: Ways) -> None:
    play = ways.harden("--tags", "hardening_configure", hardening_ssh_allow_users=["kim"])
    assert play.code != 0
    assert play.changed_tasks() == []
    assert "hardening_ssh_allow_users would no longer let it in" in play.output.replace("\n", " ")
