# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""New servers of the lab, and playbooks on them: Slipway's, and those of peers whose checkouts PEERS_DIR holds."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from slipway_lab import Server

from .result import ROOT

# Name of the peer -> where its checkout has to be for Ansible to find it by the name that it has on Galaxy.
PEERS = {
    "dev-sec": "ansible_collections/devsec/hardening",
    "konstruktoid": "roles/konstruktoid.hardening",
}


class PlayFailed(Exception):
    """There is nothing to measure."""


@dataclass(frozen=True)
class Played:
    """A run that succeeded."""

    seconds: float
    changed: int


def peers() -> list[str]:
    """Those whose checkouts are there; their code is never part of this project."""
    folder = os.environ.get("PEERS_DIR")
    return [name for name in PEERS if folder and (Path(folder) / name).is_dir()]


def link(folder: Path) -> None:
    """Have the peers where Ansible looks for them."""
    for name in peers():
        place = folder / PEERS[name]
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(Path(os.environ["PEERS_DIR"]).resolve() / name)
    os.environ["ANSIBLE_COLLECTIONS_PATH"] = f"{folder}:{os.environ['ANSIBLE_COLLECTIONS_PATH']}"
    os.environ["ANSIBLE_ROLES_PATH"] = str(folder / "roles")


def new_host(name: str) -> None:
    """The server as its provider hands it over."""
    argv = [sys.executable, "molecule/lab/lab.py", "up", "--hosts", name, "--fresh"]
    subprocess.run(argv, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def play(host: str, playbook: str, *words: str) -> Played:
    """A run that has to succeed."""
    began = time.monotonic()
    done = Server(host).play(playbook, "--extra-vars", f"slipway_hosts={host}", *words, timeout=3600, nice=0)
    seconds = time.monotonic() - began
    if done.code != 0:
        raise PlayFailed(f"{playbook} on {host} ended with {done.code}:\n{done.output[-4000:]}")
    return Played(seconds, sum(done.changed.values()))
