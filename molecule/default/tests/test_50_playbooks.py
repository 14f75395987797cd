# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The other verbs, with limits and tags, and from ansible-runner."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from slipway_lab import ROOT


@pytest.mark.parametrize("name", ["harden", "tenants", "health"])
def test_verb_changes_nothing_on_a_finished_host(playbook: Any, name: str) -> None:
    play = playbook(name, "--limit", "shop1")
    assert play.changed == {"shop1": 0}, play.changed_tasks()


def test_tags_choose_one_role(playbook: Any) -> None:
    play = playbook("site", "--tags", "nginx")
    assert play.changed == {"shop1": 0}, play.changed_tasks()
    ran = re.findall(r"^TASK \[slipway\.vps\.(\w+) : (.*?)\]", play.output, re.MULTILINE)
    # Every role says what it was given and marks its beginning; nothing else happens outside the chosen one.
    working = {role for role, task in ran if not task.startswith(("Validating arguments", "Mark the phase"))}
    assert working == {"nginx"}


def test_a_new_tenant_is_one_line_and_one_command(web: Any, playbook: Any) -> None:
    inventory = yaml.safe_load((ROOT / "inventories/demo/group_vars/vps/tenants.yml").read_text())
    listed = json.dumps({"tenants_list": [*inventory["tenants_list"], {"slug": "delta"}]})
    playbook("tenants", "--extra-vars", listed)
    assert web.products("delta.shop.test") == []


def test_ansible_runner_runs_a_playbook(tmp_path: Path) -> None:
    import ansible_runner

    private = tmp_path / "private"
    private.mkdir()
    run = ansible_runner.run(
        private_data_dir=str(private),
        project_dir=str(ROOT),
        playbook=str(ROOT / "playbooks/health.yml"),
        inventory=str(ROOT / "inventories/demo"),
        envvars={"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")},
        quiet=True,
    )
    output = run.stdout.read()
    assert run.status == "successful", output[-4000:]
    assert run.stats is not None
    assert not run.stats["failures"]
    # What AWX keeps of a job as its artifact.
    [end] = [event["event_data"] for event in run.events if event["event"] == "playbook_on_stats"]
    seen = end["artifact_data"]["health"]["shop1"]
    assert (seen["status"], seen["inside"]["fail"]) in (("ok", 0), ("warn", 0))
    assert len(seen["probes"]) == seen["inside"]["total"] + seen["outside"].get("total", 0)
    shutil.rmtree(private)
