# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""ansible-doc shows every plugin and every role."""

from __future__ import annotations

import functools
import json
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted(path.stem for path in (ROOT / "plugins" / "modules").glob("*.py"))
ROLES = sorted(path.parent.parent.name for path in (ROOT / "roles").glob("*/meta/argument_specs.yml"))


@functools.cache
def ansible_doc(*words: str) -> str:
    """One start for all names of a type: it takes longer than all of the pages."""
    ended = subprocess.run(["ansible-doc", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def pages(kind: str, names: Iterable[str]) -> Any:
    return json.loads(ansible_doc("--type", kind, "--json", *(f"slipway.vps.{name}" for name in names)))


def filters() -> list[str]:
    return sorted(json.loads(ansible_doc("--type", "filter", "--list", "--json", "slipway.vps")))


@pytest.mark.parametrize("name", MODULES)
def test_module(name: str) -> None:
    page = pages("module", MODULES)[f"slipway.vps.{name}"]
    assert page["doc"]["short_description"]
    assert page["examples"].strip()
    assert page["return"] is not None
    shown = ansible_doc("--type", "module", *(f"slipway.vps.{name}" for name in MODULES))
    assert re.search(rf"^> MODULE \S*slipway\.vps\.{name}\b", shown, re.MULTILINE)


def test_filters() -> None:
    names = [name.removeprefix("slipway.vps.") for name in filters()]
    assert names
    for page in pages("filter", names).values():
        assert page["doc"]["short_description"]
    assert len(pages("filter", names)) == len(names)


@pytest.mark.parametrize("role", ROLES)
def test_role(role: str) -> None:
    page = pages("role", ROLES)[f"slipway.vps.{role}"]
    assert page["entry_points"]["main"]["short_description"]
