# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""ansible-doc shows every plugin and every role."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted(path.stem for path in (ROOT / "plugins" / "modules").glob("*.py"))
ROLES = sorted(path.parent.parent.name for path in (ROOT / "roles").glob("*/meta/argument_specs.yml"))


def ansible_doc(*words: str) -> str:
    ended = subprocess.run(["ansible-doc", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def filters() -> list[str]:
    return sorted(json.loads(ansible_doc("--type", "filter", "--list", "--json", "slipway.vps")))


@pytest.mark.parametrize("name", MODULES)
def test_module(name: str) -> None:
    page = json.loads(ansible_doc("--type", "module", "--json", f"slipway.vps.{name}"))[f"slipway.vps.{name}"]
    assert page["doc"]["short_description"]
    assert page["examples"].strip()
    assert page["return"] is not None
    assert f"slipway.vps.{name}" in ansible_doc("--type", "module", f"slipway.vps.{name}")


def test_filters() -> None:
    names = filters()
    assert names
    for name in names:
        assert json.loads(ansible_doc("--type", "filter", "--json", name))[name]["doc"]["short_description"]


@pytest.mark.parametrize("role", ROLES)
def test_role(role: str) -> None:
    page = json.loads(ansible_doc("--type", "role", "--json", f"slipway.vps.{role}"))[f"slipway.vps.{role}"]
    assert page["entry_points"]["main"]["short_description"]
