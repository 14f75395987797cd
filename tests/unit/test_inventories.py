# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The systems' inventories are as a team would keep them: complete, public, and refused until they have secrets."""

from __future__ import annotations

import ipaddress
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.slipway.vps.plugins.plugin_utils.secret_faults import PLACEHOLDER, fault

ROOT = Path(__file__).resolve().parents[2]
INVENTORIES = sorted(path.parent for path in (ROOT / "inventories").glob("*/*/hosts.yml"))
IDS = [str(path.relative_to(ROOT / "inventories")) for path in INVENTORIES]
DOCUMENTATION = ("203.0.113.0/24", "198.51.100.0/24", "192.0.2.0/24")


@pytest.fixture(params=INVENTORIES, ids=IDS)
def inventory(request: pytest.FixtureRequest) -> Path:
    return Path(request.param)


def hosts(inventory: Path) -> dict[str, dict[str, Any]]:
    """Variables by host, as Ansible reads them."""
    ended = subprocess.run(
        ["ansible-inventory", "--inventory", str(inventory), "--list"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0 and ended.stderr == "", ended.stderr
    found: dict[str, dict[str, Any]] = json.loads(ended.stdout)["_meta"]["hostvars"]
    return found


def test_there_is_one_for_each_system() -> None:
    systems = {path.parent.name for path in INVENTORIES}
    assert {"derbyops", "pingpong", "ecommerce", "karigar", "checkgame"} <= systems


def test_hosts_have_addresses_that_are_reserved_for_documentation(inventory: Path) -> None:
    networks = [ipaddress.ip_network(network) for network in DOCUMENTATION]
    found = hosts(inventory)
    assert found
    for variables in found.values():
        address = ipaddress.ip_address(variables["ansible_host"])
        assert any(address in network for network in networks), address
        assert variables["stack_compose_file"]


def test_nothing_of_the_lab_is_in_it(inventory: Path) -> None:
    for path in (path for path in inventory.parent.rglob("*") if path.is_file()):
        text = path.read_text(encoding="utf-8")
        assert ".test" not in text and "10.77." not in text, path


def values(given: Any) -> list[Any]:
    """The words in it, however deep."""
    if isinstance(given, dict):
        return [value for one in given.values() for value in values(one)]
    return [value for one in given for value in values(one)] if isinstance(given, list) else [given]


def test_each_secret_of_the_example_is_a_placeholder(inventory: Path) -> None:
    vault = yaml.safe_load((inventory / "group_vars" / "vps" / "vault.yml").read_text(encoding="utf-8"))
    found = values(vault)
    assert found and {fault(value) for value in found} == {PLACEHOLDER}
