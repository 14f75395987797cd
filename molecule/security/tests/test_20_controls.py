# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What no scanner looks at: that the controls do what they are for, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from slipway_lab import Server, connect

PASSWORD = "A-good-One,2-be-sure"


@pytest.fixture
def someone(server: Server) -> Iterator[str]:
    """A user with a password."""
    server.vps.check_output("useradd --create-home someone")
    server.vps.check_output(f"echo someone:{PASSWORD} | chpasswd")
    yield "someone"
    server.vps.run("faillock --user someone --reset; userdel --remove someone")


@pytest.fixture
def root_password(server: Server) -> Iterator[str]:
    """Root with a password, for a while: a new server has none."""
    vps = server.vps
    entry = vps.check_output("getent shadow root").split(":")[1]
    vps.check_output(f"echo root:{PASSWORD} | chpasswd")
    yield PASSWORD
    vps.check_output(f"usermod --password '{entry}' root")


def authenticates(vps: Any, user: str, password: str) -> bool:
    return vps.run(f"echo {password} | pamtester login {user} authenticate").rc == 0


def test_who_guesses_is_locked_out(server: Server, someone: str) -> None:
    assert authenticates(server.vps, someone, PASSWORD)
    for _attempt in range(3):
        assert not authenticates(server.vps, someone, "wrong")
    assert not authenticates(server.vps, someone, PASSWORD), "the right password comes too late"


def test_nobody_locks_root_out_by_guessing(server: Server, root_password: str) -> None:
    for _attempt in range(5):
        assert not authenticates(server.vps, "root", "wrong")
    assert authenticates(server.vps, "root", root_password)


def test_an_expired_password_does_not_stop_a_key(server: Server) -> None:
    """Those who log in with keys never see that their password, or the lack of one, has expired."""
    before = server.vps.check_output("getent shadow ops").split(":")[2]
    server.vps.check_output("chage --lastday 2001-01-01 --maxdays 365 ops")
    try:
        assert connect(server.name, sudo=True).check_output("id --user") == "0"
    finally:
        server.vps.check_output(f"chage --lastday {before} ops")


def test_weak_passwords_are_refused(server: Server, someone: str) -> None:
    weak = server.vps.run(f"printf 'Short1,a\\nShort1,a\\n' | passwd {someone}")
    assert weak.rc != 0
    assert "password" in (weak.stdout + weak.stderr).lower()


def test_containers_reach_the_network(server: Server) -> None:
    assert server.vps.check_output("sysctl --values net.ipv4.ip_forward") == "1"


def test_the_kernel_of_the_machine_around_it_is_left_alone(server: Server) -> None:
    settings = server.vps.file("/etc/sysctl.d/60-slipway.conf").content_string
    keys = [line.partition(" = ")[0] for line in settings.splitlines() if " = " in line]
    assert keys
    assert all(key.startswith("net.ipv") for key in keys)


def test_no_unit_failed(server: Server) -> None:
    assert server.vps.check_output("systemctl --failed --plain --no-legend") == ""


def test_the_host_says_what_it_is(server: Server) -> None:
    assert f"{server.name} ({server.zone})" in server.vps.file("/etc/motd").content_string
    assert "strict" in server.vps.file("/etc/motd").content_string


def test_aide_finds_a_changed_program(server: Server) -> None:
    vps = server.vps
    vps.check_output("systemctl start slipway-aide-baseline.service")
    config = "/var/tmp/aide-test.conf"
    # The whole of a check takes its time; one directory tells as much.
    vps.check_output(f"grep -v '^@@x_include\\|^/' /etc/aide/aide.conf > {config}; echo '/usr/local/bin H' >> {config}")
    assert "sha512" in vps.file("/etc/aide/aide.conf").content_string
    vps.check_output("touch /usr/local/bin/implant")
    try:
        found = vps.run(f"aide --config {config} --check ")
    finally:
        vps.check_output(f"rm /usr/local/bin/implant {config}")
    assert "/usr/local/bin/implant" in found.stdout, found.stderr
