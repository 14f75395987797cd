# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes awx/surveys/*.yml: what AWX asks at the launch of a job template, out of the argument_specs.

awx/job_templates.yml says which variables are asked. Their types, choices, defaults and descriptions are those of the
playbook that checks them, or of the roles. With --check it writes nothing and says which file is out of date.
"""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from readmes import ROOT, plain

SURVEYS = ROOT / "awx" / "surveys"
HEADING = """\
---
# Made by tools/surveys.py from awx/job_templates.yml and the argument_specs: `make readmes` writes it anew.
"""
# Asked by every playbook that may be about one of several stacks. It belongs to no role and to no single playbook.
STACK = {
    "question_name": "Stack",
    "question_description": "Which stack, where stack_instances has several.",
    "variable": "stack_instance",
    "type": "text",
    "required": False,
}
TYPES = {"str": "text", "path": "text", "raw": "text", "list": "text", "int": "integer", "float": "float"}


class SurveyError(Exception):
    """A sentence for the person at the terminal."""


class Loader(yaml.SafeLoader):
    """Reads what is there for Ansible: `!unsafe` is a text like any other."""


Loader.add_constructor("!unsafe", lambda _loader, node: str(node.value))


class _Dumper(yaml.SafeDumper):
    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def load(path: Path) -> Any:
    return yaml.load(path.read_text(encoding="utf-8"), Loader)  # noqa: S506 - a safe loader with one more tag


def job_templates() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = load(ROOT / "awx" / "job_templates.yml")["awx_job_templates"]
    return found


# Where a variable is specified


def files_of(playbook: Path) -> list[Path]:
    return [path for path in (playbook, playbook.parent / "tasks" / playbook.name) if path.is_file()]


def specs_in(content: Any) -> Iterator[dict[str, Any]]:
    """The argument specs that tasks check, wherever they stand."""
    if isinstance(content, list):
        for item in content:
            yield from specs_in(item)
    elif isinstance(content, dict):
        task = content.get("ansible.builtin.validate_argument_spec")
        if task:
            yield task["argument_spec"]
        for value in content.values():
            yield from specs_in(value)


def own_options(playbook: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for path in files_of(playbook):
        for spec in specs_in(load(path)):
            found.update(spec)
    return found


@functools.cache
def role_options() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for path in sorted((ROOT / "roles").glob("*/meta/argument_specs.yml")):
        found.update(load(path)["argument_specs"]["main"].get("options") or {})
    return found


# What is asked


def question(name: str, option: dict[str, Any]) -> dict[str, Any]:
    kind = str(option.get("type", "str"))
    many = kind == "list"
    if kind not in {*TYPES, "bool"} or (many and option.get("elements") != "str"):
        raise SurveyError(f"{name} is of the type {kind}, which no survey can ask. Set it in the inventory.")
    words = plain(option.get("description"))
    asked: dict[str, Any] = {
        "question_name": name.replace("_", " ").capitalize(),
        "question_description": f"{words} Separated by commas." if many else words,
        "variable": name,
        "type": "password" if option.get("no_log") else TYPES.get(kind, "multiplechoice"),
    }
    choices = ["true", "false"] if kind == "bool" else [str(choice) for choice in option.get("choices") or ()]
    if choices:
        asked.update(type="multiplechoice", choices=choices)
    asked["required"] = bool(option.get("required"))
    default = option.get("default")
    if isinstance(default, bool):
        asked["default"] = str(default).lower()
    elif isinstance(default, int | float) or (isinstance(default, str) and default):
        asked["default"] = default
    return asked


def questions(template: dict[str, Any]) -> list[dict[str, Any]]:
    playbook = ROOT / template["playbook"]
    known = {**role_options(), **own_options(playbook)}
    asked = []
    for entry in template.get("survey", ()):
        if isinstance(entry, dict):
            asked.append(entry)
        elif entry in known:
            asked.append(question(entry, known[entry]))
        else:
            raise SurveyError(f"{template['name']} asks {entry}, which no argument_specs and no playbook describes.")
    if any("slipway.vps.instances" in path.read_text(encoding="utf-8") for path in files_of(playbook)):
        asked.append(STACK)
    return asked


def render(asked: list[dict[str, Any]]) -> str:
    survey = {"name": "", "description": "", "spec": [dict(entry) for entry in asked]}
    return HEADING + yaml.dump(survey, Dumper=_Dumper, sort_keys=False, width=110, allow_unicode=True)


def pages() -> dict[Path, str]:
    """File of a survey -> what it should say, for every job template that asks something."""
    found = {}
    for template in job_templates():
        asked = questions(template)
        if asked:
            found[SURVEYS / Path(template["playbook"]).name] = render(asked)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    try:
        wanted = pages()
    except SurveyError as error:
        print(error, file=sys.stderr)
        return 1
    stale = [path for path, text in wanted.items() if not (path.is_file() and path.read_text() == text)]
    surplus = sorted({*SURVEYS.glob("*.yml")} - {*wanted})
    for path in [*stale, *surplus]:
        print(f"{path.relative_to(ROOT)}: {'out of date, run `make readmes`' if options.check else 'written'}")
        if options.check:
            continue
        if path in wanted:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(wanted[path])
        else:
            path.unlink()
    return 1 if (stale or surplus) and options.check else 0


if __name__ == "__main__":
    sys.exit(main())
