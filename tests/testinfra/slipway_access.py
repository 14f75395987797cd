# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ways into a server: new logins of its operator, a console that needs no network, and runs that are killed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import testinfra
from slipway_lab import LAB, ROOT, Play, Server

REVERT = 20
# What the timer's accuracy, restarting services and logging in take on a busy machine.
SLACK = 40
# An address that nobody else here has; whoever runs the tests can be banned like any stranger.
FRIEND = "10.77.0.241"
# The port that SSH moves to.
NEW = 2222
WANTED = {"hardening_ssh_revert_seconds": REVERT, "hardening_fail2ban_ignore": [FRIEND]}
TAG = "hardening_access"
# What decides who gets in.
KEPT = "/etc/ssh /etc/ufw /etc/default/ufw /etc/sudoers.d /home/ops/.ssh /etc/fail2ban/jail.local /etc/systemd/system"
SAVED = "/root/ways-in.tar"
ARMED = "/var/lib/slipway/revert/access/restore"
SSH = ["ssh", "-F", "/dev/null", "-o", "IdentitiesOnly=yes", "-o", "StrictHostKeyChecking=yes", "-o", "BatchMode=yes"]
SSH += ["-o", f"UserKnownHostsFile={LAB}/known_hosts", "-o", "ControlPath=none", "-o", "ConnectTimeout=3"]


def variables(values: dict[str, Any]) -> tuple[str, str]:
    return "--extra-vars", json.dumps({**WANTED, **values})


class Ways:
    def __init__(self, server: Server) -> None:
        self.server = server
        self.container = f"slipway-lab-{server.name}"
        # As a provider's console: it works whatever sshd and the firewall do.
        self.console = testinfra.get_host(f"docker://{self.container}")

    # --- the operator

    def login(
        self, *command: str, user: str = "ops", port: int = 22, key: Any = LAB / "id_ed25519"
    ) -> subprocess.CompletedProcess[str]:
        """A login of its own, over no connection that is open already."""
        argv = [*SSH, "-i", str(key), "-p", str(port), f"{user}@{self.server.address}", *command]
        return subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, check=False)

    def open(self, port: int = 22) -> bool:
        """Whether the operator gets in, and to root."""
        return self.login("sudo", "-n", "id", "-u", port=port).stdout == "0\n"

    def opens_within(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.open():
                return True
            time.sleep(0.5)
        return False

    # --- playbooks

    def harden(self, *arguments: str, name: str = "harden", **values: Any) -> Play:
        """Nothing but the ways in: users, keys, sshd and firewall."""
        return self.server.play(name, *variables(values), "--tags", TAG, *arguments)

    def hardened(self, *arguments: str, name: str = "harden", **values: Any) -> Play:
        play = self.harden(*arguments, name=name, **values)
        assert play.code == 0, play.output[-6000:]
        return play

    def die_unproved(self, **values: Any) -> None:
        """Start a run, and kill it with all its processes when its change is made and not yet proved."""
        argv = ["ansible-playbook", "-i", "inventories/demo", *Server.INVENTORIES, "--limit", self.server.name]
        argv += ["playbooks/harden.yml", *variables(values), "--tags", TAG]
        environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}
        with subprocess.Popen(
            argv,
            cwd=ROOT,
            env=environment,
            # One of its own: a killed ssh leaves it non-blocking, and Ansible refuses to start on such a one.
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        ) as run:
            deadline = time.monotonic() + 120
            try:
                while not self.armed():
                    assert run.poll() is None and time.monotonic() < deadline, "the run never came so far"
                    time.sleep(0.1)
                while self.open():
                    assert run.poll() is None and time.monotonic() < deadline, "the change locks nobody out"
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(run.pid, signal.SIGKILL)

    # --- the host

    def armed(self) -> bool:
        return bool(self.console.file(ARMED).exists)

    def settled(self) -> bool:
        """No change is unproved any more, be it kept or taken back."""
        deadline = time.monotonic() + REVERT + SLACK
        while time.monotonic() < deadline:
            if not self.armed():
                return True
            time.sleep(0.2)
        return False

    def rules(self) -> str:
        return str(self.console.check_output("cat /etc/ssh/sshd_config /etc/ufw/user.rules /etc/ufw/ufw.conf"))

    def banned(self) -> list[str]:
        return str(self.console.check_output("fail2ban-client get sshd banip")).split()

    def save(self) -> None:
        self.console.check_output(f"tar --create --file {SAVED} {KEPT} 2>/dev/null && {self._sums} > {SAVED}.sums")

    _sums = f"find {KEPT} -type f -exec sha256sum {{}} + | sort"

    def repair(self) -> None:
        """Whatever a test has left behind, the next one begins as the first one did."""
        self.settled()
        same = self.console.run(f"{self._sums} | cmp --silent - {SAVED}.sums").rc == 0
        if same and self.open():
            return
        self.console.run("systemctl disable --now slipway-revert-access.timer; rm -rf /var/lib/slipway/revert/access")
        self.console.run("/usr/lib/ufw/ufw-init force-stop; systemctl stop ssh.socket ssh.service")
        self.console.check_output(f"rm -rf {KEPT} && tar --extract --preserve-permissions --file {SAVED} --directory /")
        self.console.run("systemctl daemon-reload; systemctl reset-failed; systemctl restart ufw.service ssh.service")
        self.console.run("systemctl restart fail2ban.service; fail2ban-client unban --all")
        assert self.opens_within(20)


@contextlib.contextmanager
def prepared(server: Server) -> Iterator[Ways]:
    ways = Ways(server)
    if not ways.console.file(SAVED).exists:
        ways.save()
    try:
        yield ways
    finally:
        ways.repair()


def inventory(ways: Ways, place: Path, port: int) -> tuple[str, str]:
    """An inventory that names the port."""
    path = place / f"port-{port}.yml"
    path.write_text(f"vps: {{hosts: {{{ways.server.name}: {{ansible_port: {port}}}}}}}\n", encoding="utf-8")
    return "--inventory", str(path)


def listening(ways: Ways) -> set[int]:
    """The ports of SSH that somebody listens on."""
    lines = ways.console.check_output(f"ss -Hltn '( sport = :22 or sport = :{NEW} )'").splitlines()
    return {int(line.split()[3].rsplit(":", 1)[1]) for line in lines}
