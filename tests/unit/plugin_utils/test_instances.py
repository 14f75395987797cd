# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is wrong with `stack_instances` is said in a sentence, with the values as Ansible itself evaluates them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from ansible.errors import AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

from ansible_collections.slipway.vps.plugins.plugin_utils import instances

BASE = {"stack_domain": "{{ stack_name }}.example.org", "stack_routes": [{"service": "api", "port": 8080}]}


def trusted(value: Any) -> Any:
    if isinstance(value, str):
        return trust_as_template(value)
    if isinstance(value, dict):
        return {key: trusted(one) for key, one in value.items()}
    return [trusted(one) for one in value] if isinstance(value, list) else value


class Inventory:
    """The variables of a host, read as Ansible reads them."""

    def __init__(self, stacks: Any, extra: Mapping[str, Any] | None = None, **more: Any) -> None:
        self.extra = dict(extra or {})
        self.variables = trusted({**BASE, "stack_instances": stacks, **more, **self.extra})

    def evaluate(self, expression: str, overlay: Mapping[str, Any]) -> Any:
        templar = Templar(loader=DataLoader(), variables={**self.variables, **overlay})
        return templar.evaluate_expression(trust_as_template(expression))

    def found(self) -> list[instances.Instance]:
        found = instances.instances(instances.read(self.evaluate), self.evaluate, trust_as_template, self.extra)
        instances.refuse_shared_domains(found)
        return found

    def names(self) -> list[str]:
        return [instance.name for instance in self.found()]


def league(name: str, **more: Any) -> dict[str, Any]:
    return {"stack_name": name, **more}


def test_what_an_entry_leaves_out_is_made_of_what_it_sets() -> None:
    found = Inventory([league("rose"), league("iris", stack_domain="iris.club")]).found()
    assert [(one.name, one.domains) for one in found] == [("rose", ("rose.example.org",)), ("iris", ("iris.club",))]


def test_the_hosts_of_its_tenants_are_its_own_too() -> None:
    tenants = [{"slug": "alpha", "custom_domain": "alpha.club"}, {"slug": "gone", "state": "absent"}]
    found = Inventory([league("rose", tenants_list=tenants)]).found()
    assert found[0].domains == ("alpha.club", "alpha.rose.example.org", "rose.example.org")


def test_the_list_may_come_out_of_a_template() -> None:
    stacks = "{{ leagues | map('community.general.dict_kv', 'stack_name') }}"
    assert Inventory("{{ leagues }}", leagues=[league("{{ 'ro' ~ 'se' }}")]).names() == ["rose"]
    assert instances.read(Inventory(stacks.replace("leagues", "[]")).evaluate) == []


def test_no_list_is_no_stack() -> None:
    for nothing in ([], None, ""):
        assert Inventory(nothing).found() == []


@pytest.mark.parametrize(
    ("stacks", "sentence"),
    [
        ("rose", "stack_instances is no list."),
        ({"rose": {}}, "stack_instances is no list."),
        (["rose"], "Entry 1 of stack_instances is no dictionary"),
        ([league("rose"), 7], "Entry 2 of stack_instances is no dictionary"),
        ([league("rose"), {"stack_domain": "iris.club"}], "Entry 2 of stack_instances has no stack_name."),
        (
            [league("rose"), league("rose", stack_domain="b.club")],
            "have the stack_name rose. Each stack needs its own.",
        ),
        ([league("rose", stack_domian="x")], "sets stack_domian, which is no variable of a single stack."),
        ([league("rose", domain="x", secrets={})], "sets domain, secrets, which is no variable"),
        ([league("rose", stack_action="rollback")], "sets stack_action, which is no variable"),
        ([league("rose", hardening_profile="strict")], "sets hardening_profile, which is no variable"),
        ([league("rose", letsencrypt_ca_file="x")], "sets letsencrypt_ca_file, which is no variable"),
        ([league("rose", **{"stack_env'] }}": 1})], "which is no variable of a single stack"),
        ([league("Rose League")], "has the stack_name 'Rose League'. Use 1 to 32 lower-case letters"),
        ([league("{{ nothing }}")], "Entry 1 of stack_instances: "),
        ([league("rose", stack_domain="")], "Stack rose: A route has no host and there is no domain."),
        (
            [league("rose"), league("iris", stack_domain="Rose.example.org.")],
            "The stacks rose and iris would both serve rose.example.org.",
        ),
    ],
)
def test_what_is_wrong_is_said(stacks: Any, sentence: str) -> None:
    with pytest.raises(AnsibleError) as refused:
        Inventory(stacks).found()
    assert sentence in str(refused.value)


def test_everything_that_belongs_to_one_stack_may_be_set() -> None:
    more = {
        "stack_compose_file": "a/compose.yml",
        "tenants_source": "registry",
        "backup_s3_prefix": "rose",
        "letsencrypt_email": "ops@rose.club",
        "health_webhooks": [],
        "instance_title": "Rose City",
    }
    assert Inventory([league("rose", **more)]).names() == ["rose"]


def test_an_unknown_stack_is_refused_with_those_that_there_are() -> None:
    found = Inventory([league("rose"), league("iris")]).found()
    assert [one.name for one in instances.choose(found, ["iris"], one=True)] == ["iris"]
    assert len(instances.choose(found, [], one=False)) == 2
    with pytest.raises(AnsibleError, match=r"stack_instances has no lily\. It has rose, iris\."):
        instances.choose(found, ["lily", "rose"], one=False)
    with pytest.raises(AnsibleError, match=r"Say which: -e stack_instance=NAME, with one of rose, iris\."):
        instances.choose(found, [], one=True)


def test_what_the_command_line_sets_is_not_for_stacks_that_set_it_themselves() -> None:
    extra = {"stack_release": "2.0.0", "stack_env": {}}
    found = Inventory([league("rose", stack_release="1.0.0"), league("iris")], extra).found()
    with pytest.raises(AnsibleError, match=r"-e stack_release=\.\.\. would replace what rose sets"):
        instances.refuse_for_all(found, extra)
    instances.refuse_for_all(found[:1], extra)
    instances.refuse_for_all(found, {"stack_env": {}, "stack_name": "rose"})


def test_a_bad_secret_is_told_by_its_stack() -> None:
    stacks = [league("rose", stack_secrets={"KEY": "hk3Vw9sQz7Lm2X {{ stack_name }}", "EMPTY": ""}), league("iris")]
    inventory = Inventory(stacks, stack_secrets={"KEY": "{{ '' }}"})
    told = [instances.secrets(one, {}, inventory.evaluate) for one in inventory.found()]
    assert told == [{"rose: KEY": "", "rose: EMPTY": "empty"}, {"iris: KEY": "empty"}]


def test_the_value_of_an_example_is_told_as_one() -> None:
    inventory = Inventory([league("rose", stack_secrets={"KEY": "CHANGE_ME for {{ stack_name }}"})])
    [told] = [instances.secrets(one, {}, inventory.evaluate) for one in inventory.found()]
    assert told == {"rose: KEY": "placeholder"}


def test_a_pooler_s_password_is_judged_where_there_is_a_pooler() -> None:
    inventory = Inventory([league("rose", tenants_pooler_service="pgbouncer"), league("iris")])
    told = [instances.secrets(one, {}, inventory.evaluate) for one in inventory.found()]
    assert told == [{"rose: tenants_pooler_password": "empty"}, {}]


def test_the_file_of_tasks_holds_no_value() -> None:
    inventory = Inventory([league("rose", stack_secrets={"KEY": "geheim"})])
    tasks = instances.tasks_file("backup")
    text = instances.includes(inventory.found(), tasks, go_on=True, after=instances.tasks_file("instances_end"))
    first, last = json.loads(text)
    assert "geheim" not in text
    assert first["vars"]["stack_secrets"] == "{{ stack_instances[0]['stack_secrets'] }}"
    assert first["vars"]["__instance_tasks"] == str(tasks)
    assert first["ansible.builtin.include_tasks"].endswith("/playbooks/tasks/instance.yml")
    assert last["ansible.builtin.include_tasks"].endswith("/playbooks/tasks/instances_end.yml")
    with pytest.raises(AnsibleError, match="There are no tasks"):
        instances.tasks_file("nothing")
