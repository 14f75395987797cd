# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One-off commands in the running release's image and environment."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest


def variables(**values: Any) -> tuple[str, str]:
    return "--extra-vars", json.dumps(values)


def one_offs(server: Any) -> list[str]:
    return server.vps.run(
        "docker ps --all --filter label=com.docker.compose.oneoff=True --format {{.Names}}"
    ).stdout.split()


def test_a_command_runs_in_the_release_that_serves_and_leaves_nothing(server: Any) -> None:
    play = server.playbook("run", *variables(run_service="api", run_command=["migrate"]))
    assert f"{server.name} | migrate: release 1.0.1 is in place" in play.output
    assert "It ended with status 0" in play.output
    assert one_offs(server) == []


def test_its_exit_status_decides_and_no_secret_is_shown(server: Any) -> None:
    script = "echo $DATABASE_URL; exit 3"
    play = server.play("run", *variables(run_service="api", run_entrypoint="sh", run_command=["-c", script]))
    assert play.code != 0
    assert "The command ended with status 3." in play.output
    assert "postgresql://shop:********@postgres" in play.output
    assert one_offs(server) == []


def test_a_command_that_takes_too_long_is_stopped(server: Any) -> None:
    play = server.play("run", "-e", "run_service=api run_entrypoint=sleep run_command=60 run_timeout=2")
    assert play.code != 0
    assert "did not end within 2 s and was stopped" in play.output
    assert one_offs(server) == []


@pytest.mark.long
def test_asked_for_twice_at_once_the_same_command_runs_once(server: Any) -> None:
    def jobs() -> int:
        return len(server.vps.run("slipway jobs shop").stdout.split("command of api in shop")) - 1

    before = jobs()
    asked = ("run", "-e", "run_service=api run_entrypoint=sleep run_command=15")
    with ThreadPoolExecutor(2) as pool:
        plays = list(pool.map(lambda _: server.play(*asked), range(2)))
    assert [play.code for play in plays] == [0, 0], plays[0].output[-2000:] + plays[1].output[-2000:]
    assert jobs() == before + 1
