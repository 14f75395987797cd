# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the documentation tells people to type exists: commands, playbooks, make targets, variables, links."""

from __future__ import annotations

import argparse
import functools
import itertools
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from ansible_collections.slipway.vps.plugins.module_utils.probe.registry import TYPES

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]
IDS = [str(page.relative_to(ROOT)) for page in PAGES]
ROLES = [path.name for path in (ROOT / "roles").iterdir() if path.is_dir()]
PREFIXES = sorted({*ROLES, "health"})
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\(([^)#\s]+)")
VARIABLE = re.compile(rf"(?:{'|'.join(PREFIXES)})_[a-z0-9_]+")
TYPED = ("ansible-playbook ", "make ", "slipway ")
PROMPTS = ("$ ", "# ")


def read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def blocks(page: Path, *languages: str) -> Iterator[str]:
    return (text for language, text in FENCE.findall(read(page)) if language in languages)


def commands(page: Path) -> Iterator[list[str]]:
    """Every command after a prompt, as words; continued lines are one command."""
    for block in blocks(page, "console", "shell", "bash", "sh"):
        for line in block.replace("\\\n", " ").splitlines():
            if line.startswith(PROMPTS):
                yield shlex.split(line[2:], comments=True)


def mentions(page: Path) -> Iterator[list[str]]:
    """Commands in running text, which may leave arguments out."""
    for code in CODE.findall(FENCE.sub("", read(page))):
        if code.startswith(TYPED):
            yield shlex.split(code)


@functools.cache
def known_variables() -> set[str]:
    """Options of every role's entry points, and the variables that playbooks read."""
    known: set[str] = set()
    for path in (ROOT / "roles").glob("*/meta/argument_specs.yml"):
        for entry in yaml.safe_load(read(path))["argument_specs"].values():
            known.update(entry.get("options") or {})
    for path in [*(ROOT / "playbooks").glob("*.yml"), *(ROOT / "playbooks" / "tasks").glob("*.yml")]:
        known.update(VARIABLE.findall(read(path)))
    return known


TARGETS = set(re.findall(r"^([a-z][a-z0-9-]*):", read(ROOT / "Makefile"), re.MULTILINE))
TARGETS |= {f"bench-{path.parent.name}" for path in (ROOT / "tests" / "bench").glob("*/bench.py")}


def playbook_names(words: list[str]) -> Iterator[str]:
    for word in words[1:]:
        if word.startswith("slipway.vps."):
            yield word.removeprefix("slipway.vps.")
        elif word.startswith("playbooks/"):
            yield word.removeprefix("playbooks/").removesuffix(".yml")


def extra_variables(words: list[str]) -> Iterator[str]:
    for flag, value in itertools.pairwise(words):
        if flag in ("-e", "--extra-vars") and not value.startswith(("@", "{")):
            yield from (pair.split("=", 1)[0] for pair in value.split())


def test_there_is_something_to_check():
    assert any(commands(page) for page in PAGES)
    assert {"demo", "test", "destroy"} <= TARGETS
    assert {"stack_name", "health_fail_on"} <= known_variables()


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_make_targets_exist(page):
    for words in [*commands(page), *mentions(page)]:
        if words and words[0] == "make":
            wanted = [word for word in words[1:] if not word.startswith("-") and "=" not in word]
            assert set(wanted) <= TARGETS, " ".join(words)


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_playbooks_and_inventories_exist(page):
    for words in [*commands(page), *mentions(page)]:
        if not words or words[0] != "ansible-playbook":
            continue
        playbooks = [ROOT / "playbooks" / f"{name}.yml" for name in playbook_names(words)]
        assert all(path.is_file() for path in playbooks), " ".join(words)
        for word in words:
            if word.startswith("inventories/") and "production" not in word:
                assert (ROOT / word).exists(), " ".join(words)
        for variable in extra_variables(words):
            tasks = [path.parent / "tasks" / path.name for path in playbooks]
            read_by = [*playbooks, *filter(Path.is_file, tasks)]
            own = any(re.search(rf"\b{variable}\b", read(path)) for path in read_by)
            assert own or variable in known_variables(), " ".join(words)


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_the_command_on_the_host_knows_what_is_typed(page):
    from ansible_collections.slipway.vps.plugins.module_utils.agent import cli

    parser = cli.parser()
    for words in commands(page):
        if words and words[0] == "slipway":
            shown = [word for word in words[1:] if word not in ("|", ">")]
            try:
                parser.parse_args(shown)
            except SystemExit as error:
                assert error.code == 0, f"slipway does not understand: {shlex.join(words)}"


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_the_command_on_the_host_has_what_is_mentioned(page):
    from ansible_collections.slipway.vps.plugins.module_utils.agent import cli

    for words in mentions(page):
        parser = cli.parser()
        for word in words[1:] if words[0] == "slipway" else []:
            choices = next((action.choices for action in parser._actions if action.nargs == argparse.PARSER), None)
            if choices is None:
                break
            assert set(word.split("|")) <= set(choices), " ".join(words)
            parser = choices[word.split("|")[0]]


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_variables_exist(page):
    named = {code for code in CODE.findall(read(page)) if VARIABLE.fullmatch(code)} - set(TYPES)
    for block in blocks(page, "yaml"):
        named.update(re.findall(rf"^({VARIABLE.pattern}):", block, re.MULTILINE))
    assert named <= known_variables(), f"{page.name} names variables that no role and no playbook has"


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_yaml_examples_are_yaml(page):
    for block in blocks(page, "yaml"):
        assert yaml.safe_load(block) is not None


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_links_lead_somewhere(page):
    for target in LINK.findall(read(page)):
        if not target.startswith(("http://", "https://", "mailto:")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_tests_of_scenarios_exist(page):
    for scenario, test in re.findall(r"`(\w+)::(test_\w+)`", read(page)):
        files = (ROOT / "molecule" / scenario / "tests").glob("test_*.py")
        assert any(f"def {test}(" in read(path) for path in files), f"{page.name} names {scenario}::{test}"


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_no_path_of_the_machine_that_it_was_written_on(page):
    for place in (ROOT, Path.home()):
        assert f"{place}/" not in read(page)


def test_every_probe_type_and_variable_of_health_is_described():
    page = read(ROOT / "docs" / "health.md")
    codes = set(CODE.findall(page))
    assert set(TYPES) <= codes
    playbook = "".join(read(ROOT / "playbooks" / place / "health.yml") for place in ("", "tasks"))
    assert set(re.findall(r"\b(health_[a-z_]+) \| default", playbook)) <= codes
