# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A slot's networks outlive its releases, because data services talk to each other over them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.slipway.vps.plugins.module_utils.common.events import Emitter
from ansible_collections.slipway.vps.plugins.module_utils.release import networks
from ansible_collections.slipway.vps.plugins.module_utils.release.host import Host
from ansible_collections.slipway.vps.plugins.module_utils.release.override import DEFINITION
from ansible_collections.slipway.vps.tests.unit.release.test_release_crashes import boot, deploy, roll_back
from ansible_collections.slipway.vps.tests.unit.release.world import World, make

CUTS = ("disconnect ", "remove network ")
POSTGRES = "shop-data-postgres-1"


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    (tmp_path / "srv").mkdir()
    yield make(tmp_path, monkeypatch)


@pytest.fixture
def cuts(world: World, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was done to networks, as it is done."""
    seen: list[str] = []
    watch = world.act

    def act(what: str) -> None:
        watch(what)
        if what.startswith(CUTS):
            seen.append(what)

    monkeypatch.setattr(world, "act", act)
    return seen


def joined(world: World) -> tuple[str, ...]:
    return world.containers[POSTGRES].seen.networks


def of_before(world: World) -> None:
    """Every network is as Slipway made it before it wrote down how it was asked for."""
    for labels in world.networks.values():
        labels.pop(DEFINITION, None)


def test_releases_and_the_way_back_leave_them_alone(world: World, cuts: list[str]) -> None:
    for release in ("1.0", "1.1", "1.2", "1.3"):
        deploy(release)
    roll_back()
    deploy("1.4")
    assert cuts == []
    assert joined(world) == ("shop-data_back", "shop-blue_back", "shop-green_back")


@pytest.mark.parametrize("killed", [False, True])
def test_a_release_that_is_given_up_or_killed_leaves_them_alone(world: World, cuts: list[str], killed: bool) -> None:
    for release in ("1.0", "1.1", "1.2"):
        deploy(release)
    for number in range(25, 75, 10):
        at = {"kill_at": number} if killed else {"fail_at": number}
        world.process(lambda name=f"2.{number}": deploy(name), **at)
        assert world.process(boot) == 0
    deploy("3.0")
    assert cuts == []


def test_one_that_changed_is_made_anew_and_one_that_vanished_goes(world: World, cuts: list[str]) -> None:
    world.asked = {"back": {}, "cache": {}, "front": {}}
    for release in ("1.0", "1.1"):
        deploy(release)
    world.asked = {"back": {}, "front": {"internal": True}}
    deploy("1.2")
    gone = [what.removeprefix("remove network ") for what in cuts if what.startswith("remove")]
    assert gone == ["shop-blue_cache", "shop-blue_front"]
    assert set(cuts) - {f"remove network {name}" for name in gone} == {f"disconnect {POSTGRES} from {n}" for n in gone}
    assert {"shop-blue_back", "shop-blue_front"} <= set(joined(world))


def test_networks_of_an_older_slipway_are_made_anew_once(world: World, cuts: list[str]) -> None:
    for release in ("1.0", "1.1", "1.2"):
        deploy(release)
    of_before(world)
    deploy("1.3")
    deploy("1.4")
    assert [what for what in cuts if what.startswith("remove")] == [
        "remove network shop-green_back",
        "remove network shop-blue_back",
    ]
    del cuts[:]
    deploy("1.5")
    assert cuts == []


def test_the_way_back_to_a_release_of_an_older_slipway(world: World) -> None:
    """Its containers are there, stopped, on a network that Compose would not take for its own any more."""
    for release in ("1.0", "1.1"):
        deploy(release)
    of_before(world)
    assert roll_back()["release_name"] == "1.0"
    assert world.networks["shop-blue_back"][DEFINITION]


def test_a_first_release_that_is_given_up_leaves_none(world: World) -> None:
    assert not isinstance(world.process(lambda: deploy("1.0"), fail_at=45), dict)
    assert list(world.networks) == ["shop-data_back"]


def test_a_data_service_that_no_longer_belongs_there_is_taken_off(world: World) -> None:
    for release in ("1.0", "1.1"):
        deploy(release)
    host = Host(world.paths, Emitter.null())
    written = host.store.override(1, "blue")
    assert written
    fits = networks.fitting(host.daemon, host.paths, "blue", written, {"postgres": ("back",)})
    assert fits == {"shop-blue_back": {POSTGRES}}
    fits = networks.fitting(host.daemon, host.paths, "blue", written, {"postgres": ("other",)})
    assert fits == {"shop-blue_back": set()}
    host.slots.remove_containers("blue")
    host.daemon.remove_networks("shop-blue", fits)
    assert "shop-blue_back" in world.networks and "shop-blue_back" not in joined(world)


def test_a_stack_that_is_taken_away_keeps_none(world: World) -> None:
    deploy("1.0")
    host = Host(world.paths, Emitter.null())
    host.slots.remove("blue")
    assert list(world.networks) == ["shop-data_back"]
