# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""People come, change and leave; of those who left nothing runs, opens a door or starts again."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
from slipway_access import Ways

KEPT_OPEN = {"hardening_ssh_permit_root_login": "prohibit-password"}
SERVICE = "[Service]\nUser={0}\nExecStart=/bin/sleep 1000\n[Install]\nWantedBy=multi-user.target\n"
FAILING = "[Service]\nType=oneshot\nUser={0}\nExecStart=/bin/false\n"
TIMER = "[Timer]\nOnCalendar=hourly\n[Install]\nWantedBy=timers.target\n"


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("key") / "id"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    return path


def public(key: Path) -> str:
    return key.with_suffix(".pub").read_text(encoding="utf-8").strip()


def write(ways: Ways, path: str, content: str) -> None:
    ways.console.check_output(f"mkdir -p $(dirname {path}) && printf %s {shlex.quote(content)} > {path}")


def failed_units(ways: Ways) -> str:
    return str(ways.console.check_output("systemctl list-units --failed --plain --no-legend"))


def settle_in(ways: Ways, name: str) -> None:
    """Everything that people leave behind on a server."""
    run = ways.console.check_output
    write(ways, f"/etc/systemd/system/{name}-worker.service", SERVICE.format(name))
    write(ways, f"/etc/systemd/system/{name}-report.service", FAILING.format(name))
    write(ways, f"/etc/systemd/system/{name}-report.timer", TIMER)
    run("systemctl daemon-reload")
    run(f"systemctl enable --quiet --now {name}-worker.service {name}-report.timer")
    ways.console.run(f"systemctl start {name}-report.service")
    run(f"loginctl enable-linger {name}")
    write(ways, f"/var/spool/cron/crontabs/{name}", "@hourly true\n")
    write(ways, f"/etc/sudoers.d/90-{name}", f"{name} ALL=(ALL) NOPASSWD: /bin/true\n")
    write(ways, f"/var/mail/{name}", "From a colleague\n")
    write(ways, f"/home/{name}/notes.txt", "where the bodies are\n")
    # One that does not listen to polite signals, and is in nobody's session.
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(1000)"
    as_name = f"setpriv --reuid {name} --clear-groups"
    run(f"systemd-run --quiet --unit {name}-deaf {as_name} python3 -c {shlex.quote(deaf)}")
    # What has the same number in a container is somebody else.
    run(f"systemd-run --quiet --collect --unit contained unshare --pid --fork --kill-child {as_name} sleep 1000")


def test_people_come_change_and_leave(ways: Ways, key: Path) -> None:
    alex, kim = ({"name": name, "keys": [public(key)]} for name in ("alex", "kim"))
    ways.hardened(hardening_users=[alex, kim], **KEPT_OPEN)
    for name in ("alex", "kim"):
        assert ways.login("sudo", "-n", "id", "-u", user=name, key=key).stdout == "0\n"
    settle_in(ways, "alex")
    number = ways.console.check_output("id -u alex")
    try:
        leaves(ways, {"hardening_users": [{**kim, "sudo": False}], **KEPT_OPEN}, number, key)
    finally:
        ways.console.run("systemctl stop contained; rm -f /etc/systemd/system/alex-*; systemctl daemon-reload")
        ways.console.run("userdel --remove kim")


def leaves(ways: Ways, others: dict[str, Any], number: str, key: Path) -> None:
    assert "alex-report.service" in failed_units(ways)
    wanted = {**others, "hardening_users_absent": ["alex", "never-was-here"]}
    told = ways.hardened("--check", "--diff", **wanted)
    assert f"-user alex (number {number}), home /home/alex" in told.output
    for trace in (
        "/etc/sudoers.d/90-alex",
        "/var/spool/cron/crontabs/alex",
        "alex-worker.service",
        "alex-report.timer",
    ):
        assert f"-{trace}" in told.output
    assert ways.login("id", "-un", user="alex", key=key).stdout == "alex\n"

    ways.hardened(**wanted)
    # One stays, without sudo.
    assert ways.login("id", "-un", user="kim", key=key).stdout == "kim\n"
    assert ways.login("sudo", "-n", "id", "-u", user="kim", key=key).returncode != 0
    # The other one is gone, with all that alex left running.
    assert ways.login(user="alex", key=key).returncode != 0
    assert ways.console.run("id alex").rc != 0
    left = ways.console.run(f"ps -o args= -U {number} --no-headers").stdout
    assert left == "sleep 1000\n", "only the container's process may be left"
    assert ways.console.check_output("systemctl is-active contained.service") == "active"
    for path in (
        *("/home/alex", "/var/mail/alex", "/etc/sudoers.d/90-alex", "/etc/sudoers.d/slipway-alex"),
        *("/var/spool/cron/crontabs/alex", "/var/lib/systemd/linger/alex"),
    ):
        assert not ways.console.file(path).exists, path
    assert "alex" not in failed_units(ways)
    for unit in ("alex-worker.service", "alex-report.timer"):
        assert ways.console.run(f"systemctl is-enabled {unit}").stdout.strip() == "disabled"
        assert ways.console.run(f"systemctl is-active {unit}").stdout.strip() == "inactive"
    archive = ways.console.check_output("ls /var/backups/slipway/users/alex-*.tar.gz")
    assert ways.console.check_output(f"tar -xOf {archive} alex/notes.txt") == "where the bodies are"
    assert ways.console.file(archive).mode == 0o600

    if os.environ.get("SLIPWAY_LONG"):
        again = ways.hardened(**wanted)
        assert again.changed == {ways.server.name: 0}, again.changed_tasks()


@pytest.mark.long
def test_a_home_that_is_somebody_elses_too_stays(ways: Ways) -> None:
    ways.console.check_output("useradd --create-home sam && useradd --home-dir /home/sam/desk --create-home kim")
    try:
        play = ways.hardened(hardening_users_absent=["sam"], hardening_users_absent_home="remove")
        assert "The home /home/sam of sam was kept, because it is also the home of kim." in " ".join(
            play.output.split()
        )
        assert ways.console.run("id sam").rc != 0
        assert ways.console.file("/home/sam/desk").is_directory
        ways.hardened(hardening_users_absent=["kim"], hardening_users_absent_home="remove")
        assert not ways.console.file("/home/sam/desk").exists
    finally:
        ways.console.run("userdel kim; rm -rf /home/sam")


@pytest.mark.long
def test_what_is_mounted_in_a_home_is_not_deleted(ways: Ways) -> None:
    run = ways.console.check_output
    run("useradd --create-home sam && mkdir -p /srv/team /home/sam/team && echo ours > /srv/team/file")
    run("mount --bind /srv/team /home/sam/team")
    try:
        play = ways.hardened(hardening_users_absent=["sam"], hardening_users_absent_home="remove")
        assert "was kept, because another file system is mounted there." in " ".join(play.output.split())
        assert ways.console.file("/srv/team/file").content_string == "ours\n"
    finally:
        ways.console.run("umount /home/sam/team; userdel sam; rm -rf /home/sam /srv/team")


@pytest.mark.long
def test_a_rule_for_several_people_is_told_and_not_touched(ways: Ways) -> None:
    write(ways, "/etc/sudoers.d/50-team", "lee, ops ALL=(ALL) /bin/true\n")
    play = ways.hardened(hardening_users_absent=["lee"])
    said = " ".join(play.output.split())
    assert "/etc/sudoers.d/50-team has a sudo rule for lee beside others. Take lee out of it" in said
    assert play.changed == {ways.server.name: 0}, play.changed_tasks()
