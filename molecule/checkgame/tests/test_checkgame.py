# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Check-Game: what its document says, as seen from outside and on its server."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from slipway_lab import Play, Visitor
from slipway_reach import asked_on_the_host, open_ports, reached_from
from slipway_system import System

STACK = "checkgame"
HOST = os.environ["SLIPWAY_HOST"]
DOMAIN = f"{HOST}.test"
API, WS = f"api.{DOMAIN}", f"ws.{DOMAIN}"
CONFIG = "/etc/slipway/backup/checkgame.json"
# Longer than Nginx waits by default.
QUIET_SECONDS = 75


@pytest.fixture(scope="module")
def system() -> System:
    return System(HOST, STACK, "checkgame-production")


# --- the API and the WebSocket servers


def test_three_instances_of_the_api_share_the_requests(system: System) -> None:
    assert len(system.containers(STACK, "api")) == 3
    assert len({system.web.ask(API, "/version").json()["instance"] for _time in range(12)}) == 3


def test_the_api_tells_its_health_and_whether_it_is_ready(system: System) -> None:
    assert system.web.ask(API, "/health").status == 200
    ready = system.web.ask(API, "/ready")
    assert (ready.status, ready.json()["checks"]) == (200, {"database": "ok", "redis": "ok"})


def test_metrics_are_answered_on_the_inside_and_refused_from_outside(system: System) -> None:
    for host in (API, WS):
        assert system.web.ask(host, "/metrics").status == 403
        assert system.web.ask(host, "/metrics/more").status == 403
    for status, body in asked_on_the_host(system, (API, "/metrics"), (WS, "/metrics")):
        assert status == 200 and "app_requests_total" in body
    # As Prometheus would, from a container beside them.
    api = system.containers(STACK, "api")[0]["Name"].lstrip("/")
    assert all(reached_from(system, f"exec {api} python3", "api:3000", "ws:3001").values())


def test_two_websocket_servers_keep_a_client_address(system: System) -> None:
    assert len(system.containers(STACK, "ws")) == 2
    greetings = [system.web.websocket(WS, "hello") for _time in range(6)]
    assert all(echo["echo"] == "hello" for _greeting, echo in greetings)
    assert len({greeting["instance"] for greeting, _echo in greetings}) == 1
    upstreams = system.vps.check_output("cat /etc/nginx/slipway/stacks/checkgame/upstreams.conf")
    assert upstreams.count("hash $remote_addr consistent;") == 2


def test_quiet_sockets_may_last_an_hour(system: System) -> None:
    text = system.vps.check_output(f"cat /etc/nginx/slipway/stacks/checkgame/hosts/{WS}.conf")
    for direction in ("read", "send"):
        assert f"proxy_{direction}_timeout 3600s;" in text and f"proxy_{direction}_timeout 60s;" not in text


@pytest.mark.long
def test_a_quiet_socket_outlives_the_default_timeout(system: System) -> None:
    with system.web._tls(WS) as secure:
        secure.sendall(
            f"GET /ws HTTP/1.1\r\nHost: {WS}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: c2xpcHdheS1zbGlwd2F5IQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        assert b" 101 " in secure.recv(4096)
        time.sleep(QUIET_SECONDS)
        # A ping, masked with zeros, and its pong.
        secure.sendall(bytes([0x89, 0x80, 0, 0, 0, 0]))
        seen = b""
        while not seen.endswith(bytes([0x8A, 0])):
            piece = secure.recv(4096)
            assert piece, seen
            seen += piece


# --- the web client


def test_the_web_client_is_served_from_files_by_nginx(system: System) -> None:
    page, script = system.web.ask(DOMAIN, "/"), system.web.ask(DOMAIN, "/main.dart.js")
    assert page.status == script.status == 200
    assert "<title>Check-Game</title>" in page.text and "text/html" in page.headers["content-type"]
    assert "javascript" in script.headers["content-type"]
    assert page.headers["cache-control"] == "no-cache" and page.headers["x-content-type-options"] == "nosniff"
    assert not [one for one in system.containers(STACK) if "web" in one["Config"]["Labels"]["vps.slipway.service"]]


def test_a_path_of_the_web_client_is_its_page(system: System) -> None:
    assert system.web.ask(DOMAIN, "/games/42").body == system.web.ask(DOMAIN, "/").body


# --- isolation


def test_only_the_api_and_the_websocket_servers_reach_the_databases(system: System) -> None:
    serving = system.containers(STACK, "api")[0]
    slot = serving["Config"]["Labels"]["vps.slipway.slot"]
    data = [system.containers(STACK, service)[0] for service in ("postgres", "redis")]
    addresses = [
        f"{network['IPAddress']}:{port}"
        for one, port in zip(data, (5432, 6379), strict=True)
        for network in one["NetworkSettings"]["Networks"].values()
        if network["IPAddress"]
    ]
    for service in ("api", "ws"):
        name = system.containers(STACK, service)[0]["Name"].lstrip("/")
        assert all(reached_from(system, f"exec {name} python3", "postgres:5432", "redis:6379").values())
    # A front end is on the network edge alone: neither by name nor by address.
    run = f"run --rm --network {STACK}-{slot}_edge --entrypoint python3 {serving['Image']}"
    found = reached_from(system, run, "postgres:5432", "redis:6379", *addresses, "api:3000")
    assert found == {**dict.fromkeys(["postgres:5432", "redis:6379", *addresses], False), "api:3000": True}


def test_the_databases_are_closed_from_outside(system: System) -> None:
    assert open_ports(system, [80, 443, 3000, 3001, 5432, 6379, 9121, 9187]) == [80, 443]


# --- backups


def test_dumps_are_kept_7_days_here_and_30_days_in_the_bucket(system: System) -> None:
    config = json.loads(system.vps.check_output(f"cat {CONFIG}"))
    assert (config["keep"]["local"]["days"], config["keep"]["s3"]["days"]) == (7, 30)
    newest = json.loads(system.vps.check_output("slipway backup list checkgame --json"))[-1]
    assert newest["copies"] == ["local", "s3"] and newest["bytes"] > 0
    timer = system.vps.check_output("systemctl show --property TimersCalendar slipway-backup@checkgame.timer")
    assert "*-*-* 02:00:00" in timer


def test_increments_go_to_the_bucket_more_often_than_hourly(system: System) -> None:
    config = json.loads(system.vps.check_output(f"cat {CONFIG}"))
    assert config["kinds"]["base"]["ship_seconds"] <= 3600
    probes = str(system.vps.run("slipway health checkgame").stdout)
    assert [line for line in probes.splitlines() if line.startswith("ok ") and "log in the bucket" in line], probes


def test_files_and_secrets_are_backed_up_encrypted(system: System, objects: Callable[[], list[str]]) -> None:
    keys = objects()
    for kind in ("files", "state"):
        newest = json.loads(system.vps.check_output(f"slipway backup list checkgame --kind {kind} --json"))[-1]
        assert newest["encryption"] == "age" and "s3" in newest["copies"]
        assert [key for key in keys if key.startswith(f"{HOST}/{STACK}/{kind}/{newest['id']}/")]


def test_a_drill_asked_the_data_and_says_whether_the_goals_are_met(system: System) -> None:
    drill = json.loads(system.vps.check_output("cat /var/lib/slipway/backup/checkgame/postgres/drill.json"))["good"]
    assert "rows" in drill["compared"] and [query["name"] for query in drill["queries"]] == ["plans are there"]
    told = " ".join(drill["goals"])
    assert "the goal of 1 h is met" in told and "the goal of 15 min is met" in told


@pytest.mark.long
def test_the_playbook_prints_the_goals(system: System) -> None:
    assert "RTO: the restore took" in system.playbook("restore_drill").output


# --- releases


@pytest.mark.long
def test_a_second_run_changes_nothing(system: System) -> None:
    play = system.playbook("site")
    assert play.changed == {system.name: 0}, play.changed_tasks()


def test_a_release_that_is_not_ready_gets_no_traffic(system: System) -> None:
    with Visitor(system.web, API, "/version") as visitor:
        play = system.play("deploy", "--extra-vars", "stack_release=1.2.0-unready")
    assert play.code != 0
    said = " ".join(play.output.split())
    assert "was given up in phase probe" in said and "The traffic never moved" in said
    assert visitor.bad == [] and visitor.asked > 50
    assert system.web.ask(API, "/version").json()["release"] == "1.0.0"


@pytest.fixture(scope="module")
def changed(system: System, tmp_path_factory: pytest.TempPathFactory) -> Play:
    """A release with another build of the web client."""
    build: Path = tmp_path_factory.mktemp("web")
    (build / "index.html").write_text("<title>Check-Game, the second</title>", encoding="utf-8")
    return system.playbook("deploy", "--extra-vars", f"stack_release=1.0.1 web_build={build}")


def test_migrations_run_before_the_traffic_moves(system: System, changed: Play) -> None:
    assert changed.code == 0
    names = [phase["name"] for phase in system.history(STACK)[0]["phases"]]
    assert names.index("migrate") < names.index("probe") < names.index("switch")


def test_the_web_client_changes_over_with_the_release(system: System, changed: Play) -> None:
    assert changed.code == 0
    assert "the second" in system.web.ask(DOMAIN, "/").text
    assert system.web.ask(API, "/version").json()["release"] == "1.0.1"


@pytest.mark.long
def test_a_roll_back_brings_the_web_client_of_its_release(system: System, changed: Play) -> None:
    assert changed.code == 0
    system.playbook("rollback")
    assert "<title>Check-Game</title>" in system.web.ask(DOMAIN, "/").text
