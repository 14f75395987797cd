# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A stack where root in a container is nobody on the host (docker_userns_remap); the other tests release to it too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from slipway_lab import ROOT, Play, Server

FIRST = 1000000
COMPOSE = ROOT / "tests" / "fixtures" / "sample_app" / "deploy" / "compose.yml"


@pytest.fixture(scope="module")
def remapped() -> Server:
    return Server("vps3")


def deploy(server: Server, compose: Path, **token: Any) -> Play:
    wishes = {
        "stack_release": "1.0.1",
        "stack_observe": 1,
        "stack_drain_websocket": 2,
        "stack_compose_file": str(compose),
        "stack_files": [{"dest": "token", "content": "planted\n", "mode": "0600", **token}],
    }
    return server.play("deploy", "--extra-vars", json.dumps(wishes))


def test_every_process_of_a_container_has_a_user_of_the_range(remapped: Server) -> None:
    ids = remapped.vps.check_output("docker ps --quiet | xargs docker inspect --format '{{.State.Pid}}'").split()
    users = [int(remapped.vps.check_output(f"stat --format %u /proc/{pid}")) for pid in ids]
    assert len(users) >= 5
    assert all(FIRST <= user < FIRST + 65536 for user in users), users


def test_named_volumes_keep_rows_and_files(remapped: Server) -> None:
    sent = remapped.web.ask(f"api.{remapped.zone}", "/uploads/kept.txt", method="PUT", body=b"kept")
    assert sent.status == 201, sent.text
    assert remapped.web.ask(f"api.{remapped.zone}", "/uploads/kept.txt").body == b"kept"
    assert remapped.web.products(f"alpha.{remapped.zone}") is not None


@pytest.mark.long
def test_a_secret_in_a_file_has_to_belong_to_the_container(remapped: Server, tmp_path: Path) -> None:
    team = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))
    team["secrets"] = {"token": {"file": "./token"}}
    team["services"]["api"]["secrets"] = ["token"]
    compose = tmp_path / "compose.yml"
    compose.write_text(yaml.safe_dump(team), encoding="utf-8")
    before = remapped.web.ask(f"api.{remapped.zone}", "/version").json()
    play = deploy(remapped, compose)
    assert play.code != 0
    said = " ".join(play.output.split())
    assert "The service api is given /srv/shop/files/token (owner 0, mode 0600), which its users cannot use" in said
    assert f'owner: "{FIRST}" in stack_files' in said
    assert remapped.web.ask(f"api.{remapped.zone}", "/version").json() == before
    # The application's own user in its image is 10001.
    play = deploy(remapped, compose, owner=str(FIRST + 10001))
    assert play.code == 0, play.output[-4000:]
    serving = remapped.vps.check_output("docker ps --quiet --filter label=vps.slipway.service=api").split()[0]
    assert remapped.vps.check_output(f"docker exec {serving} cat /run/secrets/token") == "planted"
