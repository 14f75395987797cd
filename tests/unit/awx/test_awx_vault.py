# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Secrets that are `!vault` values stay encrypted, from the import of the inventory to the job that needs them."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from ansible.constants import DEFAULT_VAULT_ID_MATCH
from ansible.parsing.vault import VaultLib, VaultSecret

PASSWORD = "the vault's own"
SECRET = "geheim-und-lang"
PLAY = """
- hosts: all
  gather_facts: false
  connection: local
  tasks:
    - name: Use it
      ansible.builtin.copy:
        content: "{{ stack_secrets.KEY }} {{ lookup('ansible.builtin.file', inventory_dir ~ '/beside') }}"
        dest: "{{ playbook_dir }}/used"
        mode: "0600"
      no_log: true
"""


def environment() -> dict[str, str]:
    """Without the settings of this checkout."""
    return {key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")}


@pytest.fixture
def private(tmp_path: Path) -> Path:
    """A private data directory whose inventory is what was imported without the vault's password."""
    project = tmp_path / "project"
    source = project / "inventories" / "shop" / "production"
    (source / "group_vars" / "all").mkdir(parents=True)
    (source / "hosts.yml").write_text("vps: {hosts: {one: {}}}\n")
    (source / "beside").write_text("beside the inventory")
    vault = VaultLib([(DEFAULT_VAULT_ID_MATCH, VaultSecret(PASSWORD.encode()))])
    lines = "\n".join(f"    {line}" for line in vault.encrypt(SECRET).decode().splitlines())
    (source / "group_vars" / "all" / "stack.yml").write_text(f"stack_secrets:\n  KEY: !vault |\n{lines}\n")
    (project / "playbooks").mkdir()
    (project / "playbooks" / "play.yml").write_text(PLAY)
    imported = subprocess.run(
        ["ansible-inventory", "-i", str(source / "hosts.yml"), "--list", "--export"],
        env=environment(),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert imported.returncode == 0, imported.stderr
    assert SECRET not in imported.stdout
    content = json.loads(imported.stdout)
    content["all"].setdefault("vars", {})["slipway_inventory"] = "inventories/shop/production"
    for name in ("env", "inventory"):
        (tmp_path / name).mkdir()
    script = tmp_path / "inventory" / "hosts"
    script.write_text(f"#!/usr/bin/env python3\nprint({json.dumps(content)!r})\n")
    script.chmod(0o700)
    (tmp_path / "env" / "cmdline").write_text("--ask-vault-pass")
    (tmp_path / "env" / "passwords").write_text(json.dumps({r"Vault password:\s*?$": PASSWORD}))
    extra = {"inventory_dir": "{{ playbook_dir }}/../{{ slipway_inventory }}"}
    (tmp_path / "env" / "extravars").write_text(json.dumps(extra))
    return tmp_path


def test_a_job_reads_what_the_import_left_encrypted_and_files_beside_the_inventory(private: Path) -> None:
    done = subprocess.run(
        ["ansible-runner", "run", str(private), "-p", "playbooks/play.yml", "-i", "1", "-q"],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    kept = private / "artifacts" / "1"
    assert done.returncode == 0, (kept / "stdout").read_text() + done.stderr
    assert (private / "project" / "playbooks" / "used").read_text() == f"{SECRET} beside the inventory"
    for path in [kept / "stdout", *(kept / "job_events").iterdir()]:
        assert SECRET not in path.read_text()
