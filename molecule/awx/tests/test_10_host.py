# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an operator types on the server."""

from __future__ import annotations

import json
import threading
from typing import Any


def slipway(server: Any, words: str) -> Any:
    return server.vps.run(f"slipway {words}")


def test_status_tells_release_slot_containers_and_the_last_deploy(server: Any) -> None:
    text = slipway(server, "status shop").stdout
    assert "shop: release 1.0.0 (number 1) serves from slot blue since" in text
    assert "deploy of 1.0.0 (number 1) succeeded" in text
    assert "maintenance  off" in text
    assert "lock         free" in text
    found = json.loads(slipway(server, "status --json").stdout)[0]
    assert found["release"]["name"] == "1.0.0"
    assert found["warnings"] == []
    states = {entry["service"]: entry["health"] for entry in found["slots"]["blue"]["containers"]}
    assert states == {"api": "healthy", "dashboard": "healthy", "web": "healthy"}
    assert {entry["service"] for entry in found["slots"]["data"]["containers"]} == {"postgres", "redis"}


def test_status_sees_what_is_wrong(server: Any) -> None:
    server.vps.run_expect([0], "docker stop --time 1 shop-blue-dashboard-1")
    assert "0 of 1 containers of dashboard are up" in slipway(server, "status shop").stdout
    server.vps.run_expect([0], "docker start shop-blue-dashboard-1")


def test_logs_of_all_services_with_their_names_and_of_one_with_a_filter(server: Any) -> None:
    server.web.ask(f"api.{server.zone}", "/products?mark=day-two")
    assert server.web.ask(f"alpha.{server.zone}", "/products").status == 200
    everything = slipway(server, "logs shop --lines 500").stdout
    assert {"api-1", "web-1", "postgres-1", "redis-1"} <= {line.partition(" ")[0] for line in everything.splitlines()}
    asked = slipway(server, f"logs shop api --since 5m --grep 'alpha.{server.zone}' --lines 3 --timestamps").stdout
    assert 1 <= len(asked.splitlines()) <= 3
    assert all(f"alpha.{server.zone}" in line and " api-1 | " in line for line in asked.splitlines())


def test_following_shows_new_lines_until_nobody_reads_them(server: Any) -> None:
    zone = server.zone
    over = threading.Event()

    def visit() -> None:
        while not over.wait(0.3):
            server.web.ask(f"bravo.{zone}", "/products")

    visitor = threading.Thread(target=visit, daemon=True)
    visitor.start()
    followed = f"slipway logs shop api --lines 0 --follow --grep bravo.{zone} | head --lines 1"
    shown = server.vps.run("timeout 90 sh -c %s", followed)
    over.set()
    visitor.join()
    assert shown.rc == 0
    assert len(shown.stdout.splitlines()) == 1
    assert f"bravo.{zone}" in shown.stdout
    assert "Traceback" not in shown.stderr


def test_exec_passes_output_input_and_exit_status_on(server: Any) -> None:
    query = server.vps.run("slipway exec shop postgres -- psql -U shop -tAc 'SELECT count(*) FROM public.tenants'")
    assert query.stdout.strip() == "3"
    assert server.vps.run("slipway exec shop api -- sh -c 'exit 7'").rc == 7
    assert server.vps.run("sh -c 'echo through | slipway exec shop api -- cat'").stdout.strip() == "through"
    refused = server.vps.run("slipway exec shop apy -- true")
    assert refused.rc == 1
    assert "no container of a service apy here. Services with containers: api," in refused.stderr


def test_exec_is_interactive_on_a_terminal(server: Any) -> None:
    said = server.vps.run(
        "script -qec 'slipway exec shop api -- sh -c \"test -t 0 && test -t 1 && echo on a terminal\"' /dev/null"
    )
    assert "on a terminal" in said.stdout


def test_follow_ends_with_the_newest_job(server: Any) -> None:
    done = slipway(server, "follow shop")
    assert done.rc == 0
    assert "done in" in done.stdout


def test_without_the_right_to_read_it_says_sudo(server: Any) -> None:
    refused = server.vps.run("runuser -u nobody -- slipway status shop")
    assert refused.rc == 1
    assert "Run it with sudo" in refused.stderr
    assert "Traceback" not in refused.stderr
