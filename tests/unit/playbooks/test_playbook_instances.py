# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The tasks of a playbook run once for each stack, each with its own values: real runs of ansible-playbook."""

from __future__ import annotations

import json
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ansible.constants import DEFAULT_VAULT_ID_MATCH
from ansible.parsing.vault import VaultLib, VaultSecret

ROOT = Path(__file__).resolve().parents[3]
SECRET = "geheim-und-lang"
VAULT_PASSWORD = "the vault's own"
VARIABLES = """
all:
  hosts: {one: {}, two: {}, three: {stack_env: {MODE: three}}}
  vars:
    ansible_connection: local
    stack_name: leagues
    stack_domain: "{{ stack_name }}.example.org"
    stack_env: {MODE: plain, TITLE: "{{ instance_title | default(stack_name) }}"}
    stack_secrets: {KEY: "of {{ stack_name }}"}
    stack_routes: [{service: api, port: 8080}]
"""
STACKS = """
    stack_instances:
      - stack_name: rose
        instance_title: "{{ 'Rose' ~ ' City' }}"
        stack_secrets:
          KEY: !vault |
VAULTED
      - stack_name: iris
        stack_domain: "club.{{ stack_name }}.org"
        stack_env: "{{ hostvars[inventory_hostname].stack_env | combine({'MORE': stack_domain}) }}"
        instance_note: "{{ lookup('ansible.builtin.file', here ~ '/note') }}"
        instance_sick: "{{ sick | default(false) }}"
      - {stack_name: lily}
"""
PLAY = """
- hosts: all
  gather_facts: false
  tasks:
    - name: Find the stacks
      slipway.vps.instances:
        tasks: "{{ here }}/tell.yml"
        after: "{{ after | default(here ~ '/after.yml') }}"
        go_on: true
        one: "{{ one_only | default(false) }}"
        unlisted: "{{ any_stack | default(false) }}"
        named_by: told_stack
      register: __instances
      tags: [always]
    - name: Work on them
      ansible.builtin.include_tasks: "{{ __instances.file }}"
      tags: [always]
"""
TELL = """
- name: Tell
  ansible.builtin.copy:
    content: "{{ told | to_json }}"
    dest: "{{ here }}/{{ inventory_hostname }}-{{ stack_name }}.json"
    mode: "0600"
  check_mode: false
  diff: false
  vars:
    told:
      domain: "{{ stack_domain }}"
      env: "{{ stack_env }}"
      key: "{{ stack_secrets.KEY }}"
      note: "{{ instance_note | default('') }}"
      file: "{{ lookup('ansible.builtin.file', __instances.file) }}"
- name: Fail where it is sick
  ansible.builtin.fail:
    msg: it is sick
  when: instance_sick | default(false) | bool
- name: With a tag
  ansible.builtin.debug:
    msg: "marked {{ stack_name }}"
  tags: [marked]
"""
AFTER = """
- name: After the last one
  ansible.builtin.debug:
    msg: "failed: {{ __instances_failed | default({}) | to_json }}"
  tags: [always]
"""


@dataclass
class Place:
    path: Path

    def run(self, *words: str, stacks: bool = True) -> tuple[int, str]:
        for old in self.path.glob("*.json"):
            old.unlink()
        inventory = "stacks.yml" if stacks else "single.yml"
        environment = {
            **os.environ,
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_LOCAL_TEMP": str(self.path / "local"),
            "ANSIBLE_VAULT_PASSWORD_FILE": str(self.path / "password"),
        }
        command = ["ansible-playbook", "-i", str(self.path / inventory), "-e", f"here={self.path}", *words]
        done = subprocess.run(
            [*command, str(self.path / "play.yml")],
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
            env=environment,
        )
        return done.returncode, done.stdout + done.stderr

    def told(self) -> dict[str, Any]:
        return {path.stem: json.loads(path.read_text()) for path in sorted(self.path.glob("*.json"))}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    path = tmp_path_factory.mktemp("instances")
    (path / "password").write_text(VAULT_PASSWORD)
    vault = VaultLib([(DEFAULT_VAULT_ID_MATCH, VaultSecret(VAULT_PASSWORD.encode()))])
    lines = vault.encrypt(SECRET).decode().splitlines()
    stacks = STACKS.replace("VAULTED", "\n".join(f"            {line}" for line in lines))
    (path / "stacks.yml").write_text(VARIABLES + stacks.lstrip("\n"))
    (path / "single.yml").write_text(VARIABLES)
    (path / "note").write_text("{{ 1 + 1 }}")
    (path / "play.yml").write_text(PLAY)
    (path / "tell.yml").write_text(TELL)
    (path / "after.yml").write_text(AFTER)
    return Place(path)


def recap(output: str) -> dict[str, dict[str, int]]:
    found = {}
    for host, numbers in re.findall(r"^(\w+) +: (ok=.*)$", output, re.MULTILINE):
        found[host] = {key: int(value) for key, value in (pair.split("=") for pair in numbers.split())}
    return found


def test_each_stack_has_its_own_values_where_they_are_used(place: Place) -> None:
    code, output = place.run("--limit", "one,three")
    assert code == 0, output
    told = place.told()
    names = ["rose", "iris", "lily"]
    assert sorted(told) == sorted(f"{host}-{name}" for host in ("one", "three") for name in names)
    rose, iris, lily = (told[f"one-{name}"] for name in names)
    assert [one["domain"] for one in (rose, iris, lily)] == ["rose.example.org", "club.iris.org", "lily.example.org"]
    assert [one["key"] for one in (rose, iris, lily)] == [SECRET, "of iris", "of lily"]
    # What an entry does not set is the inventory's, with the values of this stack in it.
    assert rose["env"] == {"MODE": "plain", "TITLE": "Rose City"}
    assert lily["env"] == {"MODE": "plain", "TITLE": "lily"}
    assert told["three-rose"]["env"] == {"MODE": "three"}
    assert iris["env"] == {"MODE": "plain", "TITLE": "leagues", "MORE": "club.iris.org"}
    # What came from outside is no template.
    assert iris["note"] == "{{ 1 + 1 }}"


def test_no_value_of_a_stack_is_written_and_nothing_stays(place: Place) -> None:
    code, output = place.run("--limit", "one", "-vvv")
    assert code == 0, output
    told = place.told()["one-rose"]
    assert SECRET not in told["file"] and "Rose" not in told["file"]
    assert list((place.path / "local").iterdir()) == []


def test_hosts_with_the_same_stacks_go_through_them_together(place: Place) -> None:
    _code, output = place.run("--limit", "one,two")
    assert len(re.findall(r"^TASK \[Tell\]", output, re.MULTILINE)) == 3
    assert recap(output)["one"] == recap(output)["two"]


def test_tags_choose_among_the_tasks_inside_also_in_a_dry_run(place: Place) -> None:
    code, output = place.run("--limit", "one", "--tags", "marked", "--check")
    assert code == 0, output
    assert place.told() == {}
    assert re.findall(r"msg: (marked \w+)", output) == ["marked rose", "marked iris", "marked lily"]
    assert recap(output)["one"]["changed"] == 0


def test_a_stack_that_fails_leaves_the_others_their_turn(place: Place) -> None:
    _code, output = place.run("--limit", "one", "-e", "sick=true")
    assert sorted(place.told()) == ["one-iris", "one-lily", "one-rose"]
    assert re.findall(r"msg: (marked \w+)", output) == ["marked rose", "marked lily"]
    assert 'failed: {"iris": "Fail where it is sick: it is sick"}' in output


def test_the_end_of_a_run_names_all_stacks_and_those_that_failed(place: Place) -> None:
    code, output = place.run("--limit", "one", "-e", "sick=true", "-e", "after=instances_end")
    assert code != 0
    told = " ".join(output.split())
    assert "Stacks on one" in told
    assert "rose done iris failed lily done" in told
    assert "iris failed. Fail where it is sick: it is sick. The other stacks were not held up." in told
    code, output = place.run("--limit", "one", "-e", "after=instances_end", "-e", "stack_instance=lily")
    assert code == 0, output
    assert "iris" not in output


def test_without_instances_there_is_the_one_stack(place: Place) -> None:
    code, output = place.run("--limit", "one", stacks=False)
    assert code == 0, output
    told = place.told()
    assert list(told) == ["one-leagues"]
    assert told["one-leagues"]["domain"] == "leagues.example.org"
    # Those that find the tasks and include them, and the tasks themselves.
    assert recap(output)["one"] == {**recap(output)["one"], "ok": 4, "skipped": 1, "failed": 0}


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["-e", "stack_instance=iris"], ["iris"]),
        (["-e", '{"stack_instance": ["lily", "rose"]}'], ["lily", "rose"]),
        (["-e", "stack_name=iris", "-e", "one_only=true"], ["iris"]),
        (["-e", "stack_name=gone", "-e", "any_stack=true"], ["gone"]),
        (["-e", "told_stack=rose", "-e", "one_only=true"], ["rose"]),
    ],
)
def test_which_stacks_are_meant(place: Place, words: list[str], names: list[str]) -> None:
    code, output = place.run("--limit", "one", *words)
    assert code == 0, output
    assert sorted(place.told()) == sorted(f"one-{name}" for name in names)


@pytest.mark.parametrize(
    ("words", "sentence", "stacks"),
    [
        (["-e", "one_only=true"], "Say which: -e stack_instance=NAME, with one of rose, iris, lily.", True),
        (["-e", "stack_instance=tulip"], "stack_instances has no tulip. It has rose, iris, lily.", True),
        (["-e", "stack_name=tulip"], "stack_instances has no tulip.", True),
        (
            ["-e", json.dumps({"stack_routes": [{"host": "a.org"}]})],
            "The stacks rose and iris would both serve a.org.",
            True,
        ),
        (["-e", "instance_title=x"], "would replace what rose sets in stack_instances, for all stacks alike.", True),
        (["-e", "stack_instance=rose"], "There is no stack rose: stack_instances is not set", False),
    ],
)
def test_what_is_unclear_is_refused_before_anything_is_done(
    place: Place, words: list[str], sentence: str, stacks: bool
) -> None:
    code, output = place.run("--limit", "one", *words, stacks=stacks)
    assert code != 0
    assert sentence in " ".join(output.split()), output
    assert place.told() == {}
