# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The parts of the collection agree with each other."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.specifiers import SpecifierSet

from ansible_collections.slipway.vps.plugins.module_utils.common.version import __version__

ROOT = Path(__file__).resolve().parents[2]
ROLES = sorted(path.parent.parent.name for path in (ROOT / "roles").glob("*/tasks/main.yml"))
INFO_TWINS = ["compose_release", "postgres_backup", "postgres_tenant"]
HEADER = (
    "# Copyright (c) 2026, Slipway contributors",
    "# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)",
    "# SPDX-License-Identifier: GPL-3.0-or-later",
)
# A module, filter or lookup of another collection, in YAML and Jinja.
FQCN = re.compile(r"\b((?:ansible|community)\.[a-z_]+|awx\.awx)\.[a-z_0-9]+\b")
# Needed by playbooks/awx.yml alone, which says so. Who has no AWX need not have it.
ONE_PLAYBOOK = {"awx.awx"}


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


@cache
def tracked() -> tuple[str, ...]:
    """Files that git knows and that are there, as text files only."""
    names = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\0")
    paths = [name for name in names if name and (ROOT / name).is_file() and not (ROOT / name).is_symlink()]
    return tuple(name for name in paths if b"\0" not in (ROOT / name).read_bytes())


def specs(role: str) -> dict[str, Any]:
    found: dict[str, Any] = load(ROOT / "roles" / role / "meta" / "argument_specs.yml")["argument_specs"]
    return found


def defaults(role: str) -> dict[str, Any]:
    path = ROOT / "roles" / role / "defaults" / "main.yml"
    return (load(path) or {}) if path.is_file() else {}


def test_one_version() -> None:
    assert load(ROOT / "galaxy.yml")["version"] == __version__


def test_the_roles_of_the_design_are_there() -> None:
    wanted = {"preflight", "hardening", "docker", "agent", "nginx", "letsencrypt", "stack", "tenants", "backup"}
    assert wanted <= set(ROLES)


@pytest.mark.parametrize("role", ROLES)
def test_every_default_is_specified_and_the_reverse(role: str) -> None:
    options = specs(role)["main"].get("options") or {}
    # What is computed from other variables has no literal value that the specification could repeat.
    literal = {name: value for name, value in defaults(role).items() if "{{" not in str(value)}
    computed = set(defaults(role)) - set(literal)
    assert literal == {name: option["default"] for name, option in options.items() if "default" in option}
    assert computed <= set(options)


@pytest.mark.parametrize("role", ROLES)
def test_variables_bear_the_name_of_their_role(role: str) -> None:
    assert [name for name in defaults(role) if not name.startswith(f"{role}_")] == []


@pytest.mark.parametrize("role", ROLES)
def test_every_entry_point_has_its_tasks(role: str) -> None:
    missing = [name for name in specs(role) if not (ROOT / "roles" / role / "tasks" / f"{name}.yml").is_file()]
    assert missing == []


@pytest.mark.parametrize("role", ROLES)
def test_role_files_are_complete(role: str) -> None:
    meta = load(ROOT / "roles" / role / "meta" / "main.yml")
    assert meta["galaxy_info"]["license"] == "GPL-3.0-or-later"
    assert specs(role)["main"]["short_description"]


def test_role_readmes_are_up_to_date() -> None:
    check = subprocess.run(
        [sys.executable, "tools/readmes.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert check.returncode == 0, check.stdout


@pytest.mark.parametrize("name", INFO_TWINS)
def test_info_twins(name: str) -> None:
    for plugin in (name, f"{name}_info"):
        assert (ROOT / "plugins" / "modules" / f"{plugin}.py").is_file()


def test_requirements_agree_with_galaxy_yml() -> None:
    wanted = load(ROOT / "galaxy.yml")["dependencies"]
    pinned = {entry["name"]: entry["version"] for entry in load(ROOT / "requirements.yml")["collections"]}
    for name, version_range in wanted.items():
        assert pinned[name] in SpecifierSet(version_range), name
    # What is there besides is what one of these needs in turn.
    needed: set[str] = set()
    for name in pinned:
        manifest = ROOT / ".cache/collections/ansible_collections" / name.replace(".", "/") / "MANIFEST.json"
        needed |= set(json.loads(manifest.read_text())["collection_info"]["dependencies"])
    assert set(pinned) - set(wanted) - ONE_PLAYBOOK <= needed


def test_collections_in_use_are_dependencies() -> None:
    used: set[str] = set()
    for name in tracked():
        if name.startswith(("roles/", "playbooks/")) and name.endswith((".yml", ".j2")):
            used |= set(FQCN.findall((ROOT / name).read_text()))
    assert used - {"ansible.builtin"} - ONE_PLAYBOOK <= set(load(ROOT / "galaxy.yml")["dependencies"])


def test_execution_environment_names_existing_files() -> None:
    for path in (ROOT / "execution-environment.yml", ROOT / "meta" / "execution-environment.yml"):
        dependencies = load(path)["dependencies"]
        for kind in ("galaxy", "python", "system"):
            if kind in dependencies:
                assert (ROOT / dependencies[kind]).is_file()


def test_execution_environment_has_the_tested_core() -> None:
    core = load(ROOT / "execution-environment.yml")["dependencies"]["ansible_core"]["package_pip"]
    assert core in (ROOT / "requirements.txt").read_text()


def test_python_files_have_the_header() -> None:
    def opening(name: str) -> tuple[str, ...]:
        lines = (ROOT / name).read_text().splitlines()
        return tuple(lines[1:4] if lines[:1] and lines[0].startswith("#!") else lines[:3])

    files = [name for name in tracked() if name.endswith(".py") and (ROOT / name).stat().st_size]
    assert [name for name in files if opening(name) != HEADER] == []


def test_no_path_of_this_machine_is_tracked() -> None:
    places = {f"{ROOT}/", f"{sys.base_prefix}/lib", f"{Path.home()}/.pyenv"}
    found = [name for name in tracked() for place in places if place in (ROOT / name).read_text(errors="replace")]
    assert found == []


@pytest.mark.parametrize(
    "pattern",
    [
        pytest.param(r"\b(?:TO[D]O|FIX[M]E|XX[X])\b", id="unfinished work"),
        pytest.param(r"^\s*ignore[_]errors:\s*(?:true|yes)", id="ignored errors"),
        pytest.param(r"^\s*failed[_]when:\s*false", id="failures that are none"),
        pytest.param(r"#\s*noqa(?::\s*[A-Z0-9, ]+)?\s*$", id="silenced lint without a reason"),
    ],
)
def test_no_shortcuts(pattern: str) -> None:
    expression = re.compile(pattern, re.MULTILINE)
    code = [
        name for name in tracked() if not name.endswith((".md", "COPYING")) and name != "tests/unit/test_collection.py"
    ]
    assert [name for name in code if expression.search((ROOT / name).read_text(errors="replace"))] == []


def test_sanity_exceptions_name_files_that_exist_and_say_why() -> None:
    for path in sorted((ROOT / "tests" / "sanity").glob("ignore-*.txt")):
        for line in path.read_text().splitlines():
            rule, _hash, reason = line.partition(" # ")
            assert reason, f"{path.name}: {line}"
            assert os.path.lexists(ROOT / rule.split(" ")[0].rstrip("/")), f"{path.name}: {line}"
