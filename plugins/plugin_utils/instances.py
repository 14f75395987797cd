# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Several stacks from one definition: each entry of `stack_instances` is laid over the variables of the inventory.

Ansible takes no dictionary as the variables of an include. So the includes are written as a file of tasks, one for each
stack. It holds no value, only where each one stands in `stack_instances`: values are evaluated where they are used,
and no secret is written anywhere.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError
from ansible.module_utils.common.yaml import yaml_load

from ..filter.stack_hosts import stack_hosts
from ..filter.tenant_hosts import tenant_hosts
from ..module_utils.common.validate import STACK
from .secret_faults import faults

COLLECTION = Path(__file__).resolve().parents[2]
TASKS = COLLECTION / "playbooks" / "tasks"

LIST = "stack_instances"
CHOICE = "stack_instance"
NAME = "stack_name"
OWN = "instance_"
# Roles whose work is that of one stack.
ROLES = ("stack", "tenants", "backup", "letsencrypt")
PREFIXES = ("health_", OWN)
# What a playbook says, what would make a stack of many stacks, and what the host has once for all of them.
REFUSED = (
    LIST,
    CHOICE,
    "stack_action",
    "health_ca_file",
    "letsencrypt_ca_file",
    "letsencrypt_certificates",
    "letsencrypt_dns_auth_hook",
    "letsencrypt_dns_cleanup_hook",
    "letsencrypt_dns_credentials",
    "letsencrypt_renewal_random_delay",
    "letsencrypt_renewal_schedule",
)
KEY = re.compile(r"[a-z][a-z0-9_]*")

OF_DOMAINS = ("stack_domain", "stack_routes", "tenants_list", "tenants_domain")
DOMAIN = "stack_domain | default('', true)"
ROUTES = "stack_routes | default([], true)"
TENANTS = "tenants_list | default([], true)"
TENANTS_DOMAIN = f"tenants_domain | default({DOMAIN}, true)"
SECRETS = (
    "(stack_secrets | default({}, true)) | combine({'backup_s3_secret_key': backup_s3_secret_key | default('', true)}"
    " if backup_s3_access_key | default('', true) else {},"
    " {'tenants_pooler_password': tenants_pooler_password | default('', true)}"
    " if tenants_pooler_service | default('', true) else {})"
)

Evaluate = Callable[[str, Mapping[str, Any]], Any]


@dataclass(frozen=True)
class Instance:
    name: str
    # The values by their names, as templates that look them up where the user wrote them.
    variables: Mapping[str, Any]
    domains: Sequence[str] = field(default=())


@cache
def known_variables() -> frozenset[str]:
    """What an entry may set: the options of the roles that work on one stack."""
    names: set[str] = set()
    for role in ROLES:
        path = COLLECTION / "roles" / role / "meta" / "argument_specs.yml"
        for entry in yaml_load(path.read_text(encoding="utf-8"))["argument_specs"].values():
            names.update(entry.get("options") or {})
    return frozenset(names)


def instances(
    entries: Sequence[Sequence[str] | None], evaluate: Evaluate, trust: Callable[[str], str], extra: Mapping[str, Any]
) -> list[Instance]:
    """A stack for each entry, given by the variables that it sets, or a refusal that says what is wrong with it."""
    found = [_instance(index, keys, evaluate, trust, extra) for index, keys in enumerate(entries)]
    names = [instance.name for instance in found]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise AnsibleError(f"Several entries of {LIST} have the {NAME} {', '.join(twice)}. Each stack needs its own.")
    return found


def read(evaluate: Evaluate) -> list[list[str] | None]:
    """The names that each entry sets, and None for what is no dictionary. No value is evaluated."""
    kind = str(evaluate(f"{LIST} | default([], true) | type_debug", {}))
    if kind not in ("list", "tuple"):
        raise AnsibleError(f"{LIST} is no list. Write one entry for each stack, each with its {NAME}.")
    kinds = evaluate(f"{LIST} | default([], true) | map('type_debug') | list", {})
    return [
        [str(key) for key in evaluate(f"{LIST}[{index}] | list", {})] if kind == "dict" else None
        for index, kind in enumerate(kinds)
    ]


def _instance(
    index: int,
    keys: Sequence[str] | None,
    evaluate: Evaluate,
    trust: Callable[[str], str],
    extra: Mapping[str, Any],
) -> Instance:
    place = f"Entry {index + 1} of {LIST}"
    if keys is None:
        raise AnsibleError(f"{place} is no dictionary of variables. Write it as {NAME}: NAME and what else it sets.")
    if NAME not in keys:
        raise AnsibleError(f"{place} has no {NAME}. Each stack needs one of its own.")
    _refuse_unknown(place, keys)
    variables = {key: trust(f"{{{{ {LIST}[{index}]['{key}'] }}}}") for key in keys}
    # The name is what tells the stacks apart, so that of the command line is none for all of them.
    overlay = {**variables, **{key: value for key, value in extra.items() if key != NAME}}
    name = str(_value(place, NAME, overlay, evaluate))
    if not STACK.fullmatch(name):
        raise AnsibleError(
            f"{place} has the {NAME} {name!r}. Use 1 to 32 lower-case letters, digits and hyphens, "
            "beginning with a letter and ending with a letter or digit."
        )
    overlay[NAME] = name
    return Instance(name, {**variables, NAME: name}, _domains(name, overlay, evaluate))


def _refuse_unknown(place: str, keys: Sequence[str]) -> None:
    if wrong := [key for key in keys if not _may_be_set(key)]:
        raise AnsibleError(
            f"{place} sets {', '.join(wrong)}, which is no variable of a single stack. It may set those of the roles "
            f"{', '.join(ROLES)}, those of the probes (health_...), and your own if their names begin with {OWN}."
        )


def _may_be_set(key: str) -> bool:
    known = key in known_variables() or key.startswith(PREFIXES)
    return known and key not in REFUSED and KEY.fullmatch(key) is not None


def _value(place: str, expression: str, overlay: Mapping[str, Any], evaluate: Evaluate) -> Any:
    try:
        return evaluate(expression, overlay)
    except AnsibleError as error:
        raise AnsibleError(f"{place}: {error}") from error


def _domains(name: str, overlay: Mapping[str, Any], evaluate: Evaluate) -> tuple[str, ...]:
    place = f"Stack {name}"
    routes, domain, tenants, tenants_domain = (
        _value(place, expression, overlay, evaluate) for expression in (ROUTES, DOMAIN, TENANTS, TENANTS_DOMAIN)
    )
    try:
        own = stack_hosts(routes, str(domain))
        theirs = tenant_hosts(tenants, str(tenants_domain)) if tenants and tenants_domain else []
    except AnsibleError as error:
        raise AnsibleError(f"{place}: {error}") from error
    return tuple(sorted({*own, *(host for tenant in theirs for host in tenant["hosts"])}))


def refuse_shared_domains(found: Sequence[Instance]) -> None:
    owners: dict[str, str] = {}
    for instance in found:
        for domain in instance.domains:
            other = owners.setdefault(domain, instance.name)
            if other != instance.name:
                raise AnsibleError(
                    f"The stacks {other} and {instance.name} would both serve {domain}. Give each a stack_domain and "
                    "hosts in its routes that are its own."
                )


def choose(found: Sequence[Instance], wanted: Collection[str], *, one: bool) -> list[Instance]:
    """Those that were named, or all of them."""
    names = [instance.name for instance in found]
    if unknown := [name for name in wanted if name not in names]:
        raise AnsibleError(f"{LIST} has no {', '.join(unknown)}. It has {', '.join(names)}.")
    chosen = [instance for instance in found if not wanted or instance.name in wanted]
    if one and len(chosen) > 1:
        raise AnsibleError(
            f"This is done to one stack at a time. Say which: -e {CHOICE}=NAME, with one of {', '.join(names)}."
        )
    return chosen


def refuse_for_all(chosen: Sequence[Instance], extra: Collection[str]) -> None:
    """What the command line sets would be that of every stack alike."""
    if len(chosen) < 2:
        return
    for name in sorted({*extra} - {NAME}):
        owners = [instance.name for instance in chosen if name in instance.variables]
        if owners:
            raise AnsibleError(
                f"-e {name}=... would replace what {', '.join(owners)} sets in {LIST}, for all stacks alike. "
                f"Say which stack is meant: -e {CHOICE}=NAME."
            )


def secrets(instance: Instance, extra: Mapping[str, Any], evaluate: Evaluate) -> dict[str, str]:
    """By the stack and its secret, what is wrong with it."""
    overlay = {**instance.variables, **extra, NAME: instance.name}
    values = _value(f"Stack {instance.name}", SECRETS, overlay, evaluate)
    return {f"{instance.name}: {name}": fault for name, fault in faults(values).items()}


def tasks_file(name: str) -> Path:
    path = Path(name) if os.path.isabs(name) else TASKS / f"{name}.yml"
    if not path.is_file():
        raise AnsibleError(f"There are no tasks {path}.")
    return path


def includes(chosen: Sequence[Instance], tasks: Path, *, go_on: bool, after: Path | None) -> str:
    """The file of tasks: one include for each stack. Tags choose among the tasks inside."""
    entries = [_include(instance, tasks, go_on=go_on) for instance in chosen]
    if after:
        include = {"ansible.builtin.include_tasks": str(after), "tags": ["always"]}
        entries.append({"name": "After the last stack", **include})
    return json.dumps(entries, indent=2)


def _include(instance: Instance, tasks: Path, *, go_on: bool) -> dict[str, Any]:
    variables = {str(key): str(value) for key, value in instance.variables.items()}
    return {
        "name": f"Stack {instance.name}",
        "ansible.builtin.include_tasks": str(TASKS / "instance.yml" if go_on else tasks),
        "vars": {"__instance": instance.name, "__instance_tasks": str(tasks), **variables},
        "tags": ["always"],
    }
