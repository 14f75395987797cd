# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The collection as ansible-galaxy installs it, away from any checkout, runs the same playbooks by their full names."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import stages
from slipway_lab import ROOT


def test_the_installed_artifact_probes_the_server(server: Any, tmp_path: Path) -> None:
    assert not (stages.INSTALLED / "ansible_collections/slipway/vps").is_symlink()
    inventories = ("inventories/demo", "molecule/inventory/servers.yml")
    done = subprocess.run(
        [
            "ansible-playbook",
            *(word for one in inventories for word in ("-i", str(ROOT / one))),
            *("--limit", server.name, "slipway.vps.health"),
        ],
        cwd=tmp_path,
        env={
            "PATH": f"{server.awx.binaries}:/usr/bin:/bin",
            "HOME": str(tmp_path),
            "LC_ALL": "C.UTF-8",
            "ANSIBLE_COLLECTIONS_PATH": f"{stages.INSTALLED}:{stages.NEEDED}",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr
    assert f"shop on {server.name}" in done.stdout
    assert "0 fail." in done.stdout
