# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One release on several hosts: all of them serve it, or all of them serve what they served before."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from slipway_crash import Crash
from slipway_lab import Play, Server, run_playbook

QUICKLY = {"stack_observe": 2, "stack_drain_websocket": 3, "deploy_serial": [1, "50%"]}


@pytest.fixture(scope="module")
def canary(server: Server) -> Crash:
    return Crash(server)


@pytest.fixture(scope="module")
def second() -> Iterator[Crash]:
    host = Crash(Server("vps3"))
    yield host
    host.unblock_registry()


def deploy(release: str, *more: str, hosts: str = "vps2,vps3") -> Play:
    wishes = json.dumps({**QUICKLY, "stack_release": release})
    return run_playbook("deploy", *Server.INVENTORIES, "--limit", hosts, "--extra-vars", wishes, *more)


def said(play: Play) -> str:
    return " ".join(play.output.split())


def test_a_good_release_serves_on_both_the_canary_first(canary: Crash, second: Crash) -> None:
    if canary.consistent()["serving"] != "1.0.0":
        deploy("1.0.0")
    play = deploy("1.0.1")
    assert play.code == 0, play.output[-4000:]
    assert canary.consistent()["serving"] == second.consistent()["serving"] == "1.0.1"
    assert play.output.index("vps2 | commit done") < play.output.index("vps3 | preflight done")
    assert "could not" not in play.output


def test_when_the_second_fails_the_canary_serves_what_it_served_before(canary: Crash, second: Crash) -> None:
    second.block_registry()
    before = canary.consistent()["release"]
    play = deploy("1.1.0")
    assert play.code != 0
    assert canary.consistent()["serving"] == second.consistent()["serving"] == "1.0.1", play.output[-4000:]
    assert f"was taken back; release 1.0.1 (number {before}) serves again." in said(play), play.output[-4000:]
    assert "Failed. Release | Put the release into service" in said(play)
    newest = canary.look()["releases"][0]
    assert (newest["kind"], newest["name"], newest["result"]) == ("rollback", "1.0.1", "succeeded")
    assert newest["by"].endswith("because vps3 failed")
    assert "vps2 | pulling" not in play.output[play.output.index("Take back what") :]


@pytest.mark.long
def test_a_host_that_this_run_did_not_change_is_left_alone(canary: Crash, second: Crash) -> None:
    assert deploy("1.1.0", hosts="vps2").code == 0
    number = canary.consistent()["release"]
    play = deploy("1.1.0")
    assert play.code != 0
    assert "Not touched by this run, because it failed on vps3." in said(play)
    assert canary.consistent()["release"] == number
    assert second.consistent()["serving"] == "1.0.1"


@pytest.mark.long
def test_a_host_that_is_not_reached_is_one_that_fails(canary: Crash, second: Crash, tmp_path: Path) -> None:
    second.unblock_registry()
    away = tmp_path / "away.yml"
    away.write_text("vps: {hosts: {vps3: {ansible_port: 9}}}\n", encoding="utf-8")
    play = deploy("1.0.0", "--inventory", str(away))
    assert play.code != 0
    assert "Failed. Stop at a host that is not reached" in said(play)
    assert canary.consistent()["serving"] == "1.1.0"
    assert second.consistent()["serving"] == "1.0.1"
