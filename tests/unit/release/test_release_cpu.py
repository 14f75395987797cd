# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The small share of the CPU with which a slot boots, as values."""

from __future__ import annotations

from dataclasses import replace

from ansible_collections.slipway.vps.plugins.module_utils.release import cpu
from ansible_collections.slipway.vps.plugins.module_utils.release.daemon import Container, container
from ansible_collections.slipway.vps.plugins.module_utils.release.model import Model

BOOTED = container(
    {
        "Id": "1",
        "Name": "/shop-green-api-1",
        "State": {"Status": "running"},
        "Config": {"Labels": {cpu.WANTED: "1024"}},
        "HostConfig": {"CpuShares": 128},
    }
)


def document(*names: str) -> dict:
    return {"services": {name: {"image": name, "labels": {"a": "b"}} for name in names}, "networks": {"n": {}}}


def model(**wanted: int) -> Model:
    return Model({"services": {name: {"cpu_shares": shares} if shares else {} for name, shares in wanted.items()}})


def test_a_slot_boots_with_a_small_share_and_remembers_what_was_asked_for() -> None:
    made = cpu.bound(document("api", "web", "worker"), model(api=0, web=2048, worker=0), ("api", "web"), 128)
    assert made["services"]["api"] == {
        "image": "api",
        "cpu_shares": 128,
        "labels": {"a": "b", "vps.slipway.cpu_shares": "1024"},
    }
    assert made["services"]["web"]["labels"][cpu.WANTED] == "2048"
    assert made["services"]["worker"] == document("worker")["services"]["worker"]
    assert made["networks"] == {"n": {}}


def test_a_service_that_asks_for_less_is_left_alone() -> None:
    given = document("api")
    assert cpu.bound(given, model(api=64), ("api",), 128) == given


def test_zero_bounds_nothing_and_one_is_raised_to_what_docker_takes() -> None:
    assert cpu.bound(document("api"), model(api=0), ("api",), 0) == document("api")
    assert cpu.bound(document("api"), model(api=0), ("api",), 1)["services"]["api"]["cpu_shares"] == 2


def test_only_running_containers_that_still_have_the_small_share_are_found() -> None:
    def found(*containers: Container) -> list[tuple[Container, int]]:
        return list(cpu.bounded(containers))

    assert found(BOOTED) == [(BOOTED, 1024)]
    assert found(replace(BOOTED, cpu_shares=1024)) == []
    assert found(replace(BOOTED, status="exited")) == []
    assert found(replace(BOOTED, labels={})) == []
