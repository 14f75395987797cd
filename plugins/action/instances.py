# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible import constants
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.template import trust_as_template
from ansible.utils.vars import load_extra_vars

from ansible_collections.slipway.vps.plugins.plugin_utils import instances

NONE: dict[str, Any] = {"names": [], "chosen": [], "domains": [], "secrets": {}}


class ActionModule(ActionBase):
    """Finds the stacks that a playbook is about, and the tasks to include; nothing is done on the host."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        _validation, arguments = self.validate_argument_spec(
            argument_spec={
                "tasks": {"type": "str", "required": True},
                "after": {"type": "str", "default": ""},
                "one": {"type": "bool", "default": False},
                "unlisted": {"type": "bool", "default": False},
                "named_by": {"type": "str", "default": ""},
                "go_on": {"type": "bool", "default": False},
                "secrets": {"type": "bool", "default": False},
            },
        )
        self._variables = task_vars or {}
        self._extra: Mapping[str, Any] = load_extra_vars(self._loader)
        result.update(changed=False, **self._answer(arguments))
        return result

    def _answer(self, arguments: dict[str, Any]) -> dict[str, Any]:
        tasks = instances.tasks_file(arguments["tasks"])
        entries = instances.read(self._evaluate)
        if not entries:
            self._refuse_a_choice()
            return {"file": str(tasks), **NONE}
        found = instances.instances(entries, self._evaluate, trust_as_template, self._extra)
        names = [instance.name for instance in found]
        wanted, any_stack = self._wanted(arguments["named_by"], arguments["unlisted"])
        if any_stack and not {*wanted} & {*names}:
            # A stack that may be on the host and is in no entry: its name is all that is known of it.
            return {"file": str(tasks), **NONE, "names": names}
        chosen = instances.choose(found, wanted, one=arguments["one"])
        instances.refuse_for_all(chosen, self._extra)
        # What the command line says of host names is said of the chosen ones.
        instances.refuse_shared_domains(chosen if {*self._extra} & {*instances.OF_DOMAINS} else found)
        after = instances.tasks_file(arguments["after"]) if arguments["after"] else None
        text = instances.includes(chosen, tasks, go_on=arguments["go_on"], after=after)
        return {
            "file": _written(text),
            "names": names,
            "chosen": [instance.name for instance in chosen],
            "domains": sorted(domain for instance in chosen for domain in instance.domains),
            "secrets": self._secrets(chosen) if arguments["secrets"] else {},
        }

    def _wanted(self, named_by: str, unlisted: bool) -> tuple[list[str], bool]:
        """Which stacks were named, if any, and whether such a name may be in no entry."""
        if named_by in self._extra:
            return self._names(named_by), True
        if instances.NAME in self._extra:
            return self._names(instances.NAME), unlisted
        return self._names(f"{instances.CHOICE} | default([], true)"), False

    def _names(self, expression: str) -> list[str]:
        names = self._evaluate(expression, {})
        return [str(name) for name in ([names] if isinstance(names, str) else names)]

    def _refuse_a_choice(self) -> None:
        chosen = self._names(f"{instances.CHOICE} | default([], true)")
        name = str(self._evaluate(f"{instances.NAME} | default('', true)", {})) if chosen else ""
        if others := [one for one in chosen if one != name]:
            raise AnsibleActionFail(
                f"There is no stack {', '.join(others)}: {instances.LIST} is not set, and the one stack is {name!r}."
            )

    def _secrets(self, chosen: list[instances.Instance]) -> dict[str, str]:
        told: dict[str, str] = {}
        for instance in chosen:
            told.update(instances.secrets(instance, self._extra, self._evaluate))
        return told

    def _evaluate(self, expression: str, overlay: Mapping[str, Any]) -> Any:
        templar = self._templar.copy_with_new_env(available_variables={**self._variables, **overlay})
        return templar.evaluate_expression(trust_as_template(expression))


def _written(text: str) -> str:
    """Hosts with the same stacks get the same file, so that they go through it together."""
    place = Path(constants.DEFAULT_LOCAL_TMP)
    path = place / f"instances-{hashlib.sha256(text.encode()).hexdigest()[:32]}.yml"
    if not path.is_file():
        descriptor, name = tempfile.mkstemp(dir=place)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(name, path)
    return str(path)
