# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The outer machine's own Docker Engine: there, and running."""

from __future__ import annotations

import os
import shutil
import subprocess
import time

from settings import STATE
from shell import LabError, run, step


def _answers() -> bool:
    return run(["docker", "version", "--format", "{{.Server.Version}}"], check=False, timeout=30).returncode == 0


def _apt_install(*packages: str) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    run(["apt-get", "update", "-qq"], environment=environment)
    run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages], environment=environment)


def need(program: str, *packages: str) -> None:
    """Install a program of the distribution when it is missing."""
    if shutil.which(program):
        return
    if not shutil.which("apt-get") or os.geteuid() != 0:
        raise LabError(f"{program} is missing: install {' '.join(packages)} and run this again.")
    with step(f"Installing {' '.join(packages)}"):
        _apt_install(*packages)


def _start() -> None:
    if run(["systemctl", "is-system-running"], check=False).stdout.strip() in ("running", "degraded"):
        run(["systemctl", "start", "docker"])
        return
    # No systemd on this machine: a plain daemon, in a session of its own so that it outlives this program.
    STATE.mkdir(parents=True, exist_ok=True)
    with (STATE / "dockerd.log").open("ab") as log:
        subprocess.Popen(["dockerd"], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)


def ensure() -> None:
    docker_packages = ["docker.io", "docker-cli"] if _has_package("docker-cli") else ["docker.io"]
    need("docker", *docker_packages)
    need("dockerd", *docker_packages)
    if _answers():
        return
    with step("Starting Docker Engine"):
        _start()
        deadline = time.monotonic() + 60
        while not _answers():
            if time.monotonic() > deadline:
                raise LabError(f"Docker Engine did not start within 60 s; see {STATE / 'dockerd.log'} or its journal.")
            time.sleep(0.5)


def _has_package(name: str) -> bool:
    if shutil.which("docker") and shutil.which("dockerd"):
        return False
    return bool(shutil.which("apt-cache")) and run(["apt-cache", "show", name], check=False).returncode == 0
