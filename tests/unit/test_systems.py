# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Each line of the five systems has an answer, and each test that it names is there."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
SYSTEMS: list[dict[str, Any]] = yaml.safe_load((ROOT / "docs" / "systems.yml").read_text())["systems"]
CLAIMS = [(system, claim) for system in SYSTEMS for claim in system["claims"]]
IDS = [f"{system['inventory']}: {claim['claim']}" for system, claim in CLAIMS]
ANSWERS = ("tests", "not_provided", "open")
REFERENCES = sorted({test for _system, claim in CLAIMS for test in claim.get("tests") or ()})


@cache
def named_in(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return frozenset(
        node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    )


def test_all_five_are_there() -> None:
    assert [system["inventory"] for system in SYSTEMS] == ["derbyops", "pingpong", "ecommerce", "karigar", "checkgame"]
    assert len(IDS) == len(set(IDS))


@pytest.mark.parametrize(("system", "claim"), CLAIMS, ids=IDS)
def test_a_line_has_one_answer(system: dict[str, Any], claim: dict[str, Any]) -> None:
    assert [bool(claim.get(answer)) for answer in ANSWERS].count(True) == 1, "tests, not_provided or open"
    assert set(claim) - {"claim", "by"} <= set(ANSWERS)
    assert bool(claim.get("by")) == ("tests" in claim)


@pytest.mark.parametrize("reference", REFERENCES)
def test_a_named_test_is_there(reference: str) -> None:
    path, _colons, name = reference.partition("::")
    assert (ROOT / path).is_file(), path
    assert name in named_in(path)


@pytest.mark.parametrize("system", SYSTEMS, ids=[system["inventory"] for system in SYSTEMS])
def test_a_system_has_an_inventory_and_a_scenario_that_runs_it(system: dict[str, Any]) -> None:
    name = system["inventory"]
    assert list((ROOT / "inventories" / name).glob("production/hosts.yml"))
    scenario = (ROOT / "molecule" / name / "molecule.yml").read_text(encoding="utf-8")
    assert f"/inventories/{name}/production" in scenario
    own = [test for claim in system["claims"] for test in claim.get("tests") or () if f"molecule/{name}/" in test]
    assert own


def test_the_page_is_up_to_date() -> None:
    check = subprocess.run(
        [sys.executable, "tools/systems.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert check.returncode == 0, check.stdout
