# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError
from ansible_collections.slipway.vps.plugins.module_utils.operations import removal
from ansible_collections.slipway.vps.plugins.module_utils.operations.removal import Wish
from ansible_collections.slipway.vps.plugins.module_utils.release import state
from ansible_collections.slipway.vps.plugins.module_utils.release.paths import StackPaths
from ansible_collections.slipway.vps.plugins.module_utils.release.state import Active, Slot, State


def test_data_goes_only_when_the_name_confirms_it():
    assert removal.read("shop", "", certificates=False, lock_wait=1) == Wish("shop", False, False, 1)
    assert removal.read("shop", "shop", certificates=True, lock_wait=1).data
    for wrong in ("shop2", "true", "yes", "SHOP"):
        with pytest.raises(SlipwayError, match="remove_data=shop"):
            removal.read("shop", wrong, certificates=False, lock_wait=1)
    with pytest.raises(SlipwayError, match="stack name"):
        removal.read("../etc", "../etc", certificates=False, lock_wait=1)


@pytest.fixture
def host(tmp_path, monkeypatch) -> Any:
    paths = StackPaths("shop", tmp_path / "srv", tmp_path / "nginx")
    for number, volumes in (
        (1, {"data": {"name": "shop_data"}}),
        (2, {"data": {"name": "shop_data"}, "up": {"name": "shop_up"}}),
    ):
        paths.release(number).mkdir(parents=True)
        (paths.release(number) / "override.blue.json").write_text(json.dumps({"services": {}, "volumes": volumes}))
    for name in ("CONFIGURATION", "BACKUPS", "STATE_DIRECTORY", "RESTORED", "LETSENCRYPT"):
        monkeypatch.setattr(removal, name, tmp_path / name.lower())
    daemon = SimpleNamespace(volume_names=lambda: ["other", "shop_data", "shop_up2"])
    return SimpleNamespace(paths=paths, daemon=daemon)


def test_volumes_are_those_that_the_releases_pinned_and_that_are_there(host):
    assert removal.volume_names(host) == {"shop_data", "shop_up"}
    assert [thing.name for thing in removal._data(host) if thing.kind == "volume"] == ["shop_data"]


def test_what_was_restored_beside_is_data_too(host):
    (removal.RESTORED / "shop" / "state").mkdir(parents=True)
    (removal.RESTORED / "other").mkdir()
    assert str(removal.RESTORED / "shop") in [thing.name for thing in removal._data(host)]
    assert str(removal.RESTORED / "other") not in [thing.name for thing in removal._data(host)]


def test_local_backups_are_where_the_role_put_them(host, tmp_path):
    assert removal.local_backups("shop") == tmp_path / "backups" / "shop"
    (removal.CONFIGURATION / "backup").mkdir(parents=True)
    (removal.CONFIGURATION / "backup" / "shop.json").write_text(json.dumps({"local_directory": "/mnt/backups"}))
    assert str(removal.local_backups("shop")) == "/mnt/backups"


def test_probes_and_alarms_of_both_topics_go_with_the_stack(host, tmp_path, monkeypatch):
    monkeypatch.setattr(removal, "ALERTS", tmp_path / "alerts-state")
    metrics = tmp_path / "metrics"
    places = [removal.ALERTS, removal.CONFIGURATION / "alerts", removal.CONFIGURATION / "probes", metrics]
    for place in places:
        place.mkdir(parents=True)
    for name in ("shop.json", "shop.health.json", "shop2.json", "shop2.health.json"):
        (removal.ALERTS / name).touch()
        (removal.CONFIGURATION / "alerts" / name).touch()
    (removal.CONFIGURATION / "probes" / "shop.json").write_text(
        json.dumps({"probes": [], "watch": {"metrics_directory": str(metrics)}})
    )
    for name in ("slipway_health_shop.prom", "slipway_health_shop2.prom"):
        (metrics / name).touch()
    found = {thing.name for thing in removal._configuration("shop")}
    assert found == {
        *(str(place / name) for place in places[:2] for name in ("shop.json", "shop.health.json")),
        str(removal.CONFIGURATION / "probes" / "shop.json"),
        str(metrics / "slipway_health_shop.prom"),
    }


def test_certificates_are_the_stacks_own_and_its_tenants(host):
    renewal = removal.LETSENCRYPT / "renewal"
    renewal.mkdir(parents=True)
    mine = ["domain-shop-alpha", "shop", "tenant-shop-alpha", "tenant-shop-b_2"]
    for name in (*mine, "shop2", "tenant-shop2-alpha", "domain-shop2-alpha"):
        (renewal / f"{name}.conf").touch()
    assert [thing.name for thing in removal._certificates("shop")] == mine


def test_what_sign_ups_left_goes_with_the_stack(host, tmp_path, monkeypatch):
    wanted = {}
    for place, names in (
        ("SITES", ("sign-ups-{}.conf", "tenants-{}.conf", "stack-{}.conf")),
        ("SIGN_UPS", ("{}.json", "{}.lock")),
        ("PAGES", ("suspended-{}.html",)),
    ):
        directory = tmp_path / place.lower()
        monkeypatch.setattr(removal, place, directory)
        directory.mkdir()
        for name in names:
            (directory / name.format("shop2")).touch()
            (directory / name.format("shop")).touch()
            wanted.setdefault(place, set()).add(str(directory / name.format("shop")))
    assert {thing.name for thing in removal._nginx(host) if thing.kind == "file"} == wanted["SITES"]
    found = {thing.name for thing in removal._configuration("shop")}
    assert wanted["SIGN_UPS"] | wanted["PAGES"] <= found
    assert not [name for name in found if "shop2" in name]
    assert "slipway-tenants@{}.timer" in removal.TIMERS


def test_a_removed_stack_serves_nothing_and_keeps_its_numbers_and_ports():
    before = State(
        "shop",
        active=Active(7, "green", "f"),
        slots={"blue": Slot(6, {"api": [1]}), "green": Slot(7, {"api": [2]})},
        next_release=8,
        ports={"api:80": {"blue": [1], "green": [2]}},
    )
    after = state.removed(before)
    assert after.active is None
    assert after.transition is None
    assert {slot.release for slot in after.slots.values()} == {state.NOTHING}
    assert (after.next_release, after.ports) == (8, before.ports)
