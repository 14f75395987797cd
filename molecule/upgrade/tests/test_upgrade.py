# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the previous version put into production goes on serving when this one takes over, and nothing is lost."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest
import slipway_previous
from slipway_lab import ROOT, Server, Visitor

SHOP = "slipway release list shop --json"
CONTAINERS = "docker ps --filter label=vps.slipway.stack=shop --format '{{.Names}} {{.ID}} {{.CreatedAt}}'"
BACKUPS = "slipway backup list shop --json"


def told(server: Server, command: str) -> Any:
    return json.loads(server.vps.check_output(command))


def backups(server: Server) -> set[str]:
    return {one["id"] for one in told(server, BACKUPS)}


@pytest.fixture(scope="module")
def before(server: Server) -> dict[str, Any]:
    """The shop as the previous version made it, with something in it."""
    done = slipway_previous.playbook("site", *server.INVENTORIES, "--limit", server.name)
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
    made = server.web.ask(f"alpha.{server.zone}", "/products", method="POST", body={"name": "old", "price_cents": 1})
    assert made.status == 201, made.text
    return {
        "releases": told(server, SHOP),
        "containers": server.vps.check_output(CONTAINERS).splitlines(),
        "backups": backups(server),
    }


def test_this_version_takes_over_and_nothing_that_serves_is_touched(server: Server, before: dict[str, Any]) -> None:
    with Visitor(server.web, f"alpha.{server.zone}") as visitor:
        server.playbook("site")
    assert visitor.asked > 100
    # Other settings of the Engine are a restart, which closes published ports (docs/docker.md). Nothing else does.
    assert visitor.bad_for < 5, visitor.bad
    assert told(server, SHOP) == before["releases"]
    assert sorted(server.vps.check_output(CONTAINERS).splitlines()) == sorted(before["containers"])
    assert before["backups"] <= backups(server)
    assert "old" in server.web.products(f"alpha.{server.zone}")


@pytest.mark.long
def test_a_second_run_changes_nothing(server: Server, before: dict[str, Any]) -> None:
    play = server.playbook("site")
    assert play.changed == {server.name: 0}, play.changed_tasks()


@pytest.mark.long
def test_the_next_release_and_the_way_back_to_that_of_the_previous_version(
    server: Server, before: dict[str, Any]
) -> None:
    server.playbook("deploy", "-e", "stack_release=1.0.1", "-e", "stack_observe=1", "-e", "stack_drain_websocket=2")
    server.playbook("rollback", "-e", "stack_observe=1", "-e", "stack_drain_websocket=2")
    [back] = [one for one in told(server, SHOP) if one["active"]]
    assert (back["name"], back["images"]) == (before["releases"][0]["name"], before["releases"][0]["images"])
    assert len(told(server, SHOP)) == len(before["releases"]) + 2


def test_a_clone_without_its_history_is_told_in_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    shallow = tmp_path_factory.mktemp("clone") / "shallow"
    subprocess.run(["git", "clone", "--quiet", "--depth", "1", f"file://{ROOT}", str(shallow)], check=True)
    monkeypatch.setattr(slipway_previous, "ROOT", shallow)
    # Where it came from is gone.
    subprocess.run(["git", "remote", "remove", "origin"], cwd=shallow, check=True)
    with pytest.raises(slipway_previous.NoPreviousVersion, match="git fetch --unshallow --tags"):
        slipway_previous.reference()
