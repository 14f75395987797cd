# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""New servers of the lab, and playbooks on them: Slipway's, and those of peers whose checkouts PEERS_DIR holds."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from .result import ROOT

HERE = Path(__file__).parent
INVENTORIES = ("--inventory", "inventories/demo", "--inventory", "molecule/inventory/servers.yml")
# Name of the peer -> where its checkout has to be for Ansible to find it by the name that it has on Galaxy.
PEERS = {
    "dev-sec": "ansible_collections/devsec/hardening",
    "konstruktoid": "roles/konstruktoid.hardening",
}


class PlayFailed(Exception):
    """There is nothing to measure."""


def peers() -> list[str]:
    """Those whose checkouts are there; their code is never part of this project."""
    folder = os.environ.get("PEERS_DIR")
    return [name for name in PEERS if folder and (Path(folder) / name).is_dir()]


def linked(folder: Path) -> dict[str, str]:
    """The peers where Ansible looks for them, and the settings that tell it so."""
    for name in peers():
        link = folder / PEERS[name]
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(Path(os.environ["PEERS_DIR"]).resolve() / name)
    return {
        "ANSIBLE_COLLECTIONS_PATH": f"{folder}:{os.environ['ANSIBLE_COLLECTIONS_PATH']}",
        "ANSIBLE_ROLES_PATH": str(folder / "roles"),
    }


def new_host(name: str) -> None:
    """The server as its provider hands it over."""
    argv = [sys.executable, "molecule/lab/lab.py", "up", "--hosts", name, "--fresh"]
    subprocess.run(argv, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def play(host: str, playbook: str, *words: str, environment: dict[str, str] | None = None) -> float:
    """Seconds of a run that has to succeed."""
    argv = [
        "ansible-playbook",
        *INVENTORIES,
        "--limit",
        host,
        playbook,
        "--extra-vars",
        f"slipway_hosts={host}",
        *words,
    ]
    began = time.monotonic()
    done = subprocess.run(
        argv, cwd=ROOT, env={**os.environ, **(environment or {})}, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise PlayFailed(f"{playbook} on {host} ended with {done.returncode}:\n{(done.stdout + done.stderr)[-4000:]}")
    return time.monotonic() - began
