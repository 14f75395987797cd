# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The host itself, over SSH."""

from __future__ import annotations

import json
from typing import Any

import pytest


def test_visitors_come_first(vps: Any) -> None:
    """The Engine and people's sessions have a small weight beside Nginx and the containers."""
    shown = vps.check_output("systemctl show --property=Slice --value docker.service containerd.service nginx.service")
    assert shown.split() == ["background.slice", "background.slice", "system.slice"]
    weights = vps.check_output("systemctl show --property=CPUWeight --value background.slice user.slice")
    assert weights.split() == ["5", "5"]
    # Of a hierarchy of its own (1,024 is the normal weight) or of the only one (100 is).
    place = "/sys/fs/cgroup/cpu/background.slice/cpu.shares /sys/fs/cgroup/background.slice/cpu.weight"
    assert vps.run(f"cat {place} 2>/dev/null").stdout.split() in (["51"], ["5"])


@pytest.mark.parametrize("unit", ["docker", "nginx", "ssh", "fail2ban"])
def test_services_run_and_start_at_boot(vps: Any, unit: str) -> None:
    service = vps.service(unit)
    assert service.is_running
    assert service.is_enabled


def test_no_unit_has_failed(vps: Any) -> None:
    assert vps.check_output("systemctl list-units --failed --plain --no-legend") == ""


def test_containers_are_healthy_and_in_three_projects(vps: Any) -> None:
    lines = vps.check_output("docker ps --format '{{json .}}'").splitlines()
    seen = [json.loads(line) for line in lines]
    projects = {
        label.partition("=")[2]
        for container in seen
        for label in container["Labels"].split(",")
        if label.startswith("com.docker.compose.project=")
    }
    assert "shop-data" in projects
    assert projects & {"shop-blue", "shop-green"}
    assert all("(healthy)" in container["Status"] for container in seen), seen


def test_no_container_is_published_to_the_world(vps: Any) -> None:
    addresses = vps.check_output(
        "docker ps --quiet | xargs docker inspect "
        "--format '{{range .NetworkSettings.Ports}}{{range .}}{{.HostIp}} {{end}}{{end}}'"
    ).split()
    assert addresses
    assert set(addresses) == {"127.0.0.1"}


def test_only_ssh_and_web_answer_from_outside(vps: Any) -> None:
    listening = vps.check_output("ss --no-header --listening --tcp --numeric").splitlines()
    ports = {
        line.split()[3].rpartition(":")[2] for line in listening if not line.split()[3].startswith(("127.", "[::1]"))
    }
    assert ports == {"22", "80", "443"}


def test_root_logs_in_with_a_key_or_not_at_all(vps: Any) -> None:
    settings = dict(line.split(" ", 1) for line in vps.check_output("sshd -T").lower().splitlines() if " " in line)
    assert settings["passwordauthentication"] == "no"
    assert settings["permitrootlogin"] in ("no", "without-password", "prohibit-password")


def test_secrets_are_for_root_only(vps: Any) -> None:
    assert vps.file("/srv/shop/releases").mode == 0o700
    found = vps.check_output("find /srv/shop/releases -name env -printf '%m %u\\n'").splitlines()
    assert found
    assert set(found) == {"600 root"}


def test_no_secret_is_in_a_command_line_or_the_journal(vps: Any) -> None:
    from slipway_lab import LAB

    secret = (LAB / "s3_secret_key").read_text()
    for search in ("ps -eo args", "journalctl --no-pager --quiet"):
        assert secret not in vps.check_output(search)


def test_the_agent_says_what_it_is(vps: Any) -> None:
    status = vps.run("slipway status")
    assert status.rc == 0, status.stderr
    assert "shop" in status.stdout
