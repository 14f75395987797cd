# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The servers to deploy to: made, reached by key, and known by their own host keys."""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path

import containers
from settings import DNS, LABEL, STATE, Host
from shell import LabError, docker, run, say, step

KEY = STATE / "id_ed25519"
KNOWN_HOSTS = STATE / "known_hosts"
OPERATOR = "ops"
# Hosts come up side by side, and each adds its keys to the same file.
_REMEMBERING = threading.Lock()
_KEY_LABEL = f"{LABEL}.key"

# Capabilities by their number in the kernel. SYS_TIME goes so that a test cannot set the outer clock.
_UNWANTED = {"SYS_RESOURCE": 24, "SYS_TIME": 25}
# No --privileged: it fails where root itself lacks a capability.
_RUN_OPTIONS = (
    *("--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined"),
    *("--security-opt", "systempaths=unconfined", "--device-cgroup-rule", "a *:* rwm", "--cgroupns", "private"),
    *(
        "--tmpfs",
        "/run",
        "--tmpfs",
        "/run/lock",
        "--tmpfs",
        "/tmp:exec",
        "--stop-signal",
        "SIGRTMIN+3",
        "--stop-timeout",
        "20",
    ),
)


def _capabilities() -> list[str]:
    """All but the unwanted ones. Engines before 23 take ALL for what the kernel knows, so that what this machine lacks
    must be named to be left out; later ones take it for what the machine has, and refuse to drop anything else."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    available = int(next(line.split()[1] for line in status.splitlines() if line.startswith("CapBnd:")), 16)
    old_engine = int(docker("version", "--format", "{{.Server.Version}}").split(".")[0]) < 23
    dropped = [name for name, number in _UNWANTED.items() if old_engine or available >> number & 1]
    return ["--cap-add", "ALL", *(word for name in dropped for word in ("--cap-drop", name))]


def ensure_key() -> str:
    if not KEY.exists():
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "slipway-lab", "-f", str(KEY)])
    return KEY.with_suffix(".pub").read_text(encoding="utf-8").strip()


def _authorise(host: Host, public_key: str) -> None:
    """Once, as a provider does: the operator and root get the key; later changes are the roles' business."""
    for home, owner in ((f"/home/{OPERATOR}", OPERATOR), ("/root", "root")):
        docker(
            *["exec", "--interactive", host.container, "sh", "-c"],
            f"install -d -m 700 -o {owner} -g {owner} {home}/.ssh && cat > {home}/.ssh/authorized_keys"
            f" && chmod 600 {home}/.ssh/authorized_keys && chown {owner}:{owner} {home}/.ssh/authorized_keys",
            stdin=f"{public_key}\n",
        )


def _wait_booted(host: Host) -> str:
    deadline = time.monotonic() + 60
    state = ""
    while time.monotonic() < deadline:
        state = run(["docker", "exec", host.container, "systemctl", "is-system-running"], check=False).stdout.strip()
        if state in ("running", "degraded"):
            return state
        if not containers.running(host.container):
            break
        time.sleep(0.2)
    raise LabError(f"{host.name} did not boot (systemd says {state or 'nothing'}); see docker logs {host.container}.")


def _wait_ssh(host: Host) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            with socket.create_connection((host.address, 22), timeout=1) as connection:
                if connection.recv(4) == b"SSH-":
                    return
        except OSError:
            time.sleep(0.2)
    raise LabError(f"sshd of {host.name} does not answer on {host.address}:22.")


def _host_keys(host: Host) -> list[str]:
    keys = docker("exec", host.container, "sh", "-c", "cat /etc/ssh/ssh_host_*_key.pub")
    return [f"{host.address},{host.name} {' '.join(line.split()[:2])}" for line in keys.splitlines()]


def _remember(host: Host) -> None:
    """The host's keys come from the host itself, so that the first connection is checked too."""
    keys = _host_keys(host)
    with _REMEMBERING:
        known = KNOWN_HOSTS.read_text(encoding="utf-8").splitlines() if KNOWN_HOSTS.exists() else []
        wanted = [line for line in known if not line.startswith(f"{host.address},")] + keys
        if wanted != known:
            # At once, for whoever logs in somewhere meanwhile.
            new = KNOWN_HOSTS.with_suffix(".new")
            new.write_text("\n".join(wanted) + "\n", encoding="utf-8")
            new.replace(KNOWN_HOSTS)


def up(host: Host, image: str, *, fresh: bool = False) -> None:
    public_key = ensure_key()
    seen = containers.inspect(host.container)
    if fresh or (seen and seen["Config"]["Labels"].get(_KEY_LABEL) != public_key):
        # Of another checkout, or of one whose keys are gone: nobody here could log in.
        remove(host)
        seen = None
    new = seen is None
    with step(f"Host {host.name} (Debian {host.suite}, {host.address})"):
        if new:
            containers.volume(host.docker_volume)
            options = [
                "--label",
                f"{_KEY_LABEL}={public_key}",
                "--hostname",
                host.name,
                "--env",
                f"LAB_DNS={DNS}",
                *_capabilities(),
                *_RUN_OPTIONS,
            ]
            options += ["--volume", f"{host.docker_volume}:/var/lib/docker"]
            containers.start(host.container, host.address, image, options, [])
        elif seen and not seen["State"]["Running"]:
            docker("start", host.container)
        _wait_booted(host)
        if new:
            _authorise(host, public_key)
        _wait_ssh(host)
        _remember(host)


def forget_accounts(host: Host) -> None:
    """The lab's authority, unlike a real one, loses its accounts when it starts anew: certbot must forget them too."""
    if containers.running(host.container):
        say(f"Host {host.name}: the ACME server is a new one, so its old accounts go")
        docker("exec", host.container, "sh", "-c", "rm -rf /etc/letsencrypt/accounts/acme.lab.test*")


def switch_off(host: Host) -> None:
    """As by its power button: what it holds stays, and `up` boots it again."""
    if containers.running(host.container):
        say(f"Switching host {host.name} off")
        docker("stop", host.container)


def remove(host: Host) -> None:
    # A killed PID 1 takes its whole tree with it; nothing in a host that goes away needs a clean stop.
    if containers.inspect(host.container):
        say(f"Removing host {host.name}")
        containers.remove(host.container)
    docker("volume", "rm", "--force", host.docker_volume, check=False)


def ssh_command(host: Host, command: list[str]) -> list[str]:
    options = ["-i", str(KEY), "-o", f"UserKnownHostsFile={KNOWN_HOSTS}", "-o", "StrictHostKeyChecking=yes"]
    return ["ssh", *options, "-o", "IdentitiesOnly=yes", f"{OPERATOR}@{host.address}", *command]
