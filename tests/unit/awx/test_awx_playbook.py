# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""playbooks/awx.yml with the real modules of awx.awx, by ansible-runner, against a simulated API."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
sys.path += [str(Path(__file__).parent), str(ROOT / "tools")]

import awx_api
import surveys

pytestmark = pytest.mark.slow
RECAP = re.compile(r"^localhost +: ok=(\d+) +changed=(\d+) .*failed=(\d+)", re.MULTILINE)
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@dataclass
class Controller:
    awx: awx_api.Awx
    url: str
    path: Path

    def apply(self, *words: str, token: str = awx_api.TOKEN) -> tuple[int, str]:
        """As a job of AWX itself does it: host and token come from a credential, by environment variables."""
        private = self.path
        (private / "env").mkdir(exist_ok=True)
        (private / "env" / "cmdline").write_text(" ".join(words))
        # The modules look for settings of their own in the home and the current directory.
        kept = {key: os.environ[key] for key in ("PATH", "LC_ALL", "LANG") if key in os.environ}
        settings = {
            "HOME": str(private),
            "CONTROLLER_HOST": self.url,
            "CONTROLLER_OAUTH_TOKEN": token,
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".cache" / "collections"),
            # A little faster.
            "ANSIBLE_PIPELINING": "True",
        }
        words_of_runner = ["ansible-runner", "run", str(private), "--project-dir", str(ROOT), "-p", "playbooks/awx.yml"]
        done = subprocess.run(words_of_runner, env={**kept, **settings}, capture_output=True, text=True, check=False)
        return done.returncode, COLOUR.sub("", done.stdout + done.stderr).replace("\r", "")


@pytest.fixture(scope="module")
def controller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Controller]:
    awx = awx_api.Awx(f"playbooks/{path.name}" for path in (ROOT / "playbooks").glob("*.yml"))
    server = awx_api.serve(awx)
    yield Controller(awx, f"http://127.0.0.1:{server.server_address[1]}", tmp_path_factory.mktemp("awx"))
    server.shutdown()


def wanted(kind: str) -> list[dict[str, object]]:
    for path in (ROOT / "awx").glob("*.yml"):
        found = surveys.load(path).get(f"awx_{kind}")
        if found:
            return list(found)
    raise AssertionError(kind)


def test_the_first_run_makes_everything(controller: Controller) -> None:
    code, output = controller.apply()
    assert code == 0, output[-6000:]
    awx = controller.awx
    for kind in ("execution_environments", "credentials", "projects", "inventories", "schedules"):
        assert awx.names(kind) == sorted(str(one["name"]) for one in wanted(kind)), kind
    assert awx.names("organizations") == ["Slipway"]
    assert awx.names("labels") == sorted(map(str, wanted("labels")))
    assert {str(one["name"]) for one in wanted("credential_types")} < {*awx.names("credential_types")}
    assert awx.names("workflow_job_templates") == sorted(str(one["name"]) for one in wanted("workflows"))
    assert awx.named("inventory_sources", "demo from git")["source_path"] == "inventories/demo/hosts.yml"


def test_the_braces_of_injectors_reach_awx_as_they_are(controller: Controller) -> None:
    injectors = controller.awx.named("credential_types", "Slipway secrets of shop")["injectors"]
    assert injectors["extra_vars"]["stack_secrets"]["REDIS_PASSWORD"] == "{{ REDIS_PASSWORD }}"
    template = controller.awx.named("job_templates", "Slipway deploy")
    assert json.loads(template["extra_vars"]) == {"inventory_dir": "{{ playbook_dir }}/../{{ slipway_inventory }}"}
    inventory = controller.awx.named("inventories", "demo")
    assert json.loads(inventory["variables"]) == {"slipway_inventory": "inventories/demo"}


@pytest.mark.parametrize("template", surveys.job_templates(), ids=lambda template: template["name"])
def test_each_job_template_has_its_survey_labels_and_credentials(
    controller: Controller, template: dict[str, object]
) -> None:
    awx, name = controller.awx, str(template["name"])
    made = awx.named("job_templates", name)
    path = surveys.SURVEYS / Path(str(template["playbook"])).name
    asked = yaml.safe_load(path.read_text()) if path.is_file() else {}
    assert awx.surveys.get(made["related"]["survey_spec"], {}) == asked
    assert made["survey_enabled"] == bool(asked)
    assert made["playbook"] == template["playbook"]
    assert made["ask_inventory_on_launch"] and made["ask_limit_on_launch"] and made["allow_simultaneous"]
    assert made["ask_job_slice_count_on_launch"] == template.get("sliced", False)
    assert awx.linked_names("job_templates", name, "labels") == sorted(["Slipway", *template["labels"]])  # type: ignore[misc]
    assert awx.linked_names("job_templates", name, "credentials") == sorted(template.get("credentials", []))  # type: ignore[call-overload]


def test_the_workflow_has_its_nodes_in_order(controller: Controller) -> None:
    awx = controller.awx
    [workflow] = [one for one in wanted("workflows") if len(one["nodes"]) > 3]  # type: ignore[arg-type]
    number = awx.named("workflow_job_templates", str(workflow["name"]))["id"]
    nodes = {
        one["identifier"]: one
        for one in awx.objects["workflow_job_template_nodes"].values()
        if one["workflow_job_template"] == number
    }
    order = ["preview"]
    while after := awx.linked.get(f"{nodes[order[-1]]['url']}success_nodes/"):
        [following] = after
        order += [name for name, node in nodes.items() if node["id"] == following]
    assert order == ["preview", "approve", "provision", "deploy", "complete", "verify"]
    assert nodes["preview"]["job_type"] == "check"
    assert awx.objects["workflow_approval_templates"][nodes["approve"]["unified_job_template"]]["timeout"] == 86400
    assert nodes["deploy"]["unified_job_template"] == awx.named("job_templates", "Slipway deploy")["id"]


@pytest.mark.long
def test_a_second_run_changes_nothing_but_what_the_module_cannot_tell(controller: Controller) -> None:
    before = json.dumps([controller.awx.objects, controller.awx.linked, controller.awx.surveys], sort_keys=True)
    controller.awx.writes.clear()
    code, output = controller.apply()
    assert code == 0, output[-6000:]
    # awx.awx.workflow_job_template reports every approval node as changed, and that is all.
    changed = re.findall(r"^changed: .*", output, re.MULTILINE)
    assert changed == ["changed: [localhost] => (item=Slipway provision, deploy, verify)"]
    assert all("/workflow_approval_templates/" in write for write in controller.awx.writes), controller.awx.writes
    after = json.dumps([controller.awx.objects, controller.awx.linked, controller.awx.surveys], sort_keys=True)
    assert after == before


@pytest.mark.parametrize(
    ("kind", "name"), [("projects", "Slipway"), pytest.param("job_templates", "Slipway deploy", marks=pytest.mark.long)]
)
def test_a_dry_run_tells_what_would_change_and_changes_nothing(controller: Controller, kind: str, name: str) -> None:
    controller.awx.writes.clear()
    controller.awx.named(kind, name)["description"] = "changed by hand"
    code, output = controller.apply("--check", "--tags", kind)
    assert code == 0, output[-6000:]
    assert re.findall(r"^changed: .*", output, re.MULTILINE) == [f"changed: [localhost] => (item={name})"]
    assert controller.awx.writes == []


def test_credentials_that_a_person_filled_in_are_left_alone(controller: Controller) -> None:
    entry = controller.awx.named("credentials", "Slipway S3")
    entry["inputs"] = {"backup_s3_access_key": "typed in", "backup_s3_secret_key": "$encrypted$"}
    controller.awx.writes.clear()
    code, output = controller.apply("--tags", "credentials")
    assert code == 0, output[-6000:]
    assert controller.awx.writes == []


def test_values_of_a_vault_are_handed_over_and_not_shown(controller: Controller) -> None:
    values = {"Slipway S3": {"backup_s3_access_key": "shop", "backup_s3_secret_key": "a-very-secret-key"}}
    extra = controller.path / "vault.json"
    extra.write_text(json.dumps({"awx_credential_inputs": values}))
    code, output = controller.apply("--tags", "credentials", "-vvv", "-e", f"@{extra}")
    assert code == 0, output[-6000:]
    inputs = controller.awx.named("credentials", "Slipway S3")["inputs"]
    assert inputs == {"backup_s3_access_key": "shop", "backup_s3_secret_key": "$encrypted$"}
    assert "a-very-secret-key" not in output


def test_a_wrong_token_is_a_sentence(controller: Controller) -> None:
    code, output = controller.apply("--tags", "organization", token="wrong")
    assert code != 0
    assert "Invalid authentication credentials" in output
    assert awx_api.TOKEN not in output
