# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""awx/ agrees with itself, with the playbooks and with the inventories."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tools"))

import surveys

AWX = ROOT / "awx"
# Imported by others, and of no use alone.
PARTS = {"reach"}
BUILT_IN = {"Machine", "Vault", "Source Control"}
PLAYBOOKS = [*ROOT.glob("playbooks/*.yml"), *ROOT.glob("playbooks/tasks/*.yml")]
PLACEHOLDER = re.compile(r"\{\{ ([A-Za-z0-9_.]+) \}\}")


def known(kind: str) -> Any:
    for path in AWX.glob("*.yml"):
        content = surveys.load(path)
        if kind in content:
            return content[kind]
    raise AssertionError(f"no file of awx/ has {kind}")


def names(kind: str) -> set[str]:
    return {entry["name"] if isinstance(entry, dict) else entry for entry in known(kind)}


TEMPLATES = known("awx_job_templates")
IDS = [template["name"] for template in TEMPLATES]


def text_of(template: dict[str, Any]) -> str:
    return "\n".join(path.read_text() for path in surveys.files_of(ROOT / template["playbook"]))


def test_each_playbook_that_a_person_starts_has_one_job_template() -> None:
    there = {path.stem for path in (ROOT / "playbooks").glob("*.yml")}
    assert sorted(Path(template["playbook"]).stem for template in TEMPLATES) == sorted(there - PARTS)
    for part in PARTS:
        assert any(f"slipway.vps.{part}" in path.read_text() for path in (ROOT / "playbooks").glob("*.yml"))


def test_the_surveys_are_those_of_the_argument_specs() -> None:
    check = subprocess.run(
        [sys.executable, "tools/surveys.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert check.returncode == 0, check.stdout + check.stderr


@pytest.mark.parametrize("template", TEMPLATES, ids=IDS)
def test_what_a_playbook_requires_is_asked(template: dict[str, Any]) -> None:
    options = surveys.own_options(ROOT / template["playbook"])
    required = {name for name, option in options.items() if option.get("required")}
    asked = {entry["variable"]: entry for entry in surveys.questions(template)}
    assert required <= {name for name, entry in asked.items() if entry["required"]}
    # AWX refuses a survey that asks the same twice.
    assert len(asked) == len(surveys.questions(template))


@pytest.mark.parametrize("template", TEMPLATES, ids=IDS)
def test_what_is_asked_is_read(template: dict[str, Any]) -> None:
    roles = surveys.role_options()
    for entry in surveys.questions(template):
        name = entry["variable"]
        assert name in roles or name == surveys.STACK["variable"] or re.search(rf"\b{name}\b", text_of(template)), name


@pytest.mark.parametrize("template", TEMPLATES, ids=IDS)
def test_only_hosts_that_need_no_other_are_cut_into_slices(template: dict[str, Any]) -> None:
    together = re.search(r"\brun_once\b|^ +serial:|\bhostvars\b|ansible_play_hosts", text_of(template), re.MULTILINE)
    assert not (template.get("sliced") and together), together


def test_nothing_waits_for_a_person_at_a_terminal() -> None:
    waits = re.compile(r"vars_prompt|builtin\.pause|^\s*(- )?pause:", re.MULTILINE)
    files = [*PLAYBOOKS, *ROOT.glob("roles/*/tasks/**/*.yml")]
    assert [str(path) for path in files if waits.search(path.read_text())] == []


def test_what_one_object_names_is_there() -> None:
    types, credentials, labels = names("awx_credential_types") | BUILT_IN, names("awx_credentials"), names("awx_labels")
    inventories, workflows = names("awx_inventories"), names("awx_workflows")
    organization = known("awx_organization")["name"]
    assert {one["credential_type"] for one in known("awx_credentials")} <= types
    assert organization in labels
    assert {one["default_environment"] for one in known("awx_projects")} <= names("awx_execution_environments")
    for one in TEMPLATES:
        assert {*one.get("credentials", ())} <= credentials
        assert {*one["labels"]} <= labels
    for one in known("awx_schedules"):
        assert one["unified_job_template"] in {*IDS} | workflows
        assert one["inventory"] in inventories
    for one in known("awx_workflows"):
        assert {*one["labels"]} <= labels
        assert (surveys.SURVEYS / f"{one['survey']}.yml").is_file() if "survey" in one else True
        nodes = {node["identifier"] for node in one["nodes"]}
        for node in one["nodes"]:
            template = node["unified_job_template"]
            assert template["type"] == "workflow_approval" or template["name"] in IDS
            for found in node.get("related", {}).values():
                assert {entry["identifier"] for entry in found} <= nodes


def test_the_workflow_waits_for_approval_before_it_changes_anything() -> None:
    nodes = {node["identifier"]: node for node in known("awx_workflows")[0]["nodes"]}
    later = [after for node in nodes.values() for after in node.get("related", {}).get("success_nodes", ())]
    first = {*nodes} - {after["identifier"] for after in later}
    assert first == {"preview"}
    assert nodes["preview"]["job_type"] == "check"
    assert nodes["preview"]["related"] == {"success_nodes": [{"identifier": "approve"}]}
    assert nodes["approve"]["unified_job_template"]["type"] == "workflow_approval"


def test_every_inventory_of_the_repository_is_one_of_awx() -> None:
    sources = {one["source"] for one in known("awx_inventories")}
    assert sources == {str(path.relative_to(ROOT)) for path in (ROOT / "inventories").rglob("hosts.yml")}


def placeholders(node: Any) -> set[str]:
    if isinstance(node, dict):
        return {name for value in node.values() for name in placeholders(value)}
    return {*PLACEHOLDER.findall(node)}


@pytest.mark.parametrize("kind", known("awx_credential_types"), ids=lambda kind: kind["name"])
def test_injectors_inject_every_field_and_nothing_else(kind: dict[str, Any]) -> None:
    fields = {entry["id"]: entry for entry in kind["inputs"]["fields"]}
    files = {f"tower.filename.{label.partition('.')[2]}" for label in kind["injectors"].get("file", {})}
    assert placeholders(kind["injectors"]) == {*fields} | files
    assert {*kind["inputs"]["required"]} == {*fields}
    # A key that is public is the only thing that a list of credentials may show.
    assert {name for name, entry in fields.items() if not entry.get("secret")} <= {"backup_s3_access_key"}
    playbooks = "".join(path.read_text() for path in PLAYBOOKS)
    for name in kind["injectors"]["extra_vars"]:
        assert name in surveys.role_options() or re.search(rf"\b{name}\b", playbooks), name


def test_the_secrets_of_the_demo_are_all_in_its_credential() -> None:
    [kind] = [one for one in known("awx_credential_types") if one["name"] == "Slipway secrets of shop"]
    stack = yaml.safe_load((ROOT / "inventories/demo/group_vars/vps/stack.yml").read_text())
    assert {*kind["injectors"]["extra_vars"]["stack_secrets"]} == {*stack["stack_secrets"]}


# How a question is made of an option

YES_NO = ["true", "false"]
COMMAS = {"question_description": "Separated by commas."}


def test_a_question_has_the_words_and_limits_of_its_option() -> None:
    option = {"type": "str", "choices": ["a", "b"], "default": "a", "description": "Which V(a) or V(b)."}
    assert surveys.question("restore_target", option) == {
        "question_name": "Restore target",
        "question_description": "Which `a` or `b`.",
        "variable": "restore_target",
        "type": "multiplechoice",
        "choices": ["a", "b"],
        "required": False,
        "default": "a",
    }


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ({"type": "bool", "default": True}, {"type": "multiplechoice", "choices": YES_NO, "default": "true"}),
        ({"type": "int", "default": 3600, "required": True}, {"type": "integer", "default": 3600, "required": True}),
        ({"type": "str", "no_log": True}, {"type": "password"}),
        ({"type": "path", "default": ""}, {"type": "text"}),
        ({"type": "list", "elements": "str", "default": []}, {"type": "text", **COMMAS}),
    ],
)
def test_types(option: dict[str, Any], expected: dict[str, Any]) -> None:
    asked = surveys.question("x_y", {"description": "", **option})
    wanted = {"question_name": "X y", "question_description": "", "variable": "x_y", "required": False, **expected}
    assert {key: value.strip() if isinstance(value, str) else value for key, value in asked.items()} == wanted


@pytest.mark.parametrize("option", [{"type": "dict"}, {"type": "list", "elements": "dict"}])
def test_what_no_survey_can_ask_is_refused(option: dict[str, Any]) -> None:
    with pytest.raises(surveys.SurveyError, match="Set it in the inventory"):
        surveys.question("stack_routes", option)


def test_a_variable_that_nobody_describes_is_refused() -> None:
    with pytest.raises(surveys.SurveyError, match="asks stack_relase"):
        surveys.questions({"name": "x", "playbook": "playbooks/deploy.yml", "survey": ["stack_relase"]})
