# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The other profile, the switch for old clients, and groups that are switched off: on the server that was strict."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from slipway_lab import Server
from slipway_scans import Scanners

STRICT = ("--extra-vars", "@molecule/security/vars/strict.yml")
GROUPS = ("passwords", "shell", "cron", "files", "login", "journald", "sysctl", "integrity", "accounting", "packages")
WATCHED = (
    "/etc/pam.d/common-auth /etc/pam.d/common-password /etc/pam.d/su /etc/login.defs /etc/bash.bashrc /etc/motd "
    "/etc/security/pwquality.conf /etc/systemd/journald.conf /etc/default/useradd /etc/fstab"
)

pytestmark = pytest.mark.long


def harden(server: Server, **variables: Any) -> None:
    server.playbook("harden", *STRICT, "--extra-vars", json.dumps(variables))


def test_old_clients_by_a_switch(server: Server, scanners: Scanners) -> None:
    harden(server, hardening_ssh_compatible_key_exchange=True)
    offered = scanners.ssh_audit()
    assert not offered.fails
    assert len(offered.warnings) <= 2


def test_baseline(server: Server, scanners: Scanners) -> None:
    harden(server, hardening_profile="baseline")
    assert not scanners.ssh_audit().fails
    found = scanners.lynis()
    assert not found.warnings
    assert found.index >= 80, found.suggestions


def test_groups_that_are_switched_off_are_taken_back(server: Server) -> None:
    packaged = server.vps.check_output("grep --count pam_unix.so.nullok /usr/share/pam-configs/unix")
    assert packaged != "0"
    harden(server, **{f"hardening_{group}_enabled": False for group in GROUPS})
    left = server.vps.check_output(f"grep --files-with-matches --ignore-case slipway {WATCHED} || true")
    assert left == ""
    assert "nullok" in server.vps.file("/etc/pam.d/common-auth").content_string
    assert "faillock" not in server.vps.file("/etc/pam.d/common-auth").content_string
    assert "sugroup" not in server.vps.file("/etc/pam.d/su").content_string
    assert re.search(r"^PASS_MAX_DAYS\s+99999$", server.vps.file("/etc/login.defs").content_string, re.MULTILINE)
    assert not server.vps.file("/etc/cron.allow").exists
    assert not server.vps.file("/etc/sysctl.d/60-slipway.conf").exists
    server.vps.check_output("visudo --check --quiet && sshd -t")


def test_and_back_again(server: Server) -> None:
    harden(server)
    assert "faillock" in server.vps.file("/etc/pam.d/common-auth").content_string
    assert server.playbook("harden", *STRICT).changed == {server.name: 0}
