# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Several replicas behind several routes, visitors who stay with one of them, and a worker that runs once."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from slipway_lab import Server
from slipway_shop import Shop

# The scenarios of the systems have replicas and sticky visitors in every run.
pytestmark = pytest.mark.long

REPLICAS = {"api": 2, "web": 3}
# Runs of a worker of which the one had not ended when the other began.
OVERLAPS = (
    "SELECT count(*) FROM public.worker_runs a JOIN public.worker_runs b ON a.id < b.id "
    "WHERE a.began <= b.seen AND b.began <= a.seen"
)
RUNS = "SELECT string_agg(release, ' ' ORDER BY began) FROM public.worker_runs WHERE ticks > 0"
NEW_VISITORS = 24


@pytest.fixture(scope="module")
def shop(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    made = Shop(server, tmp_path_factory.mktemp("replicas"))
    made.add_worker()
    made.set(stack_replicas=REPLICAS)
    for route in made.variables["stack_routes"]:
        route["sticky"] = {"api": "cookie", "web": "address"}.get(route["name"], False)
    made.deploy("1.0.1")
    # What the worker of another test did is of no interest, and the one that runs now goes on recording.
    made.query("DELETE FROM public.worker_runs a WHERE began < (SELECT max(began) FROM public.worker_runs)")
    return made


def asked(server: Server, route: str, cookie: str = "") -> tuple[str, str]:
    """Which replica answers, and the cookie that it gives."""
    host = {"api": f"api.{server.zone}", "web": server.zone}[route]
    answer = server.web.ask(host, "/version", headers={"Cookie": cookie} if cookie else {})
    assert answer.status == 200, answer.text
    return answer.json()["instance"], answer.headers.get("set-cookie", "")


def test_every_replica_runs_and_has_a_port_of_its_own(shop: Shop, server: Server) -> None:
    for service, count in REPLICAS.items():
        found = shop.containers(service)
        ports = {
            binding["HostPort"]
            for container in found
            for bindings in container["NetworkSettings"]["Ports"].values()
            for binding in bindings or ()
        }
        assert len(found) == len(ports) == count
    assert len(shop.containers("worker")) == 1


def test_a_cookie_keeps_a_visitor_with_one_replica(shop: Shop, server: Server) -> None:
    visitors = [asked(server, "api") for _visitor in range(NEW_VISITORS)]
    assert len({instance for instance, _cookie in visitors}) == REPLICAS["api"]
    for instance, given in visitors[:4]:
        assert "Secure; HttpOnly; SameSite=Lax" in given
        cookie = given.partition(";")[0]
        assert [asked(server, "api", cookie) for _request in range(5)] == [(instance, "")] * 5
        # The same replica also for a WebSocket, which must find what the page before it left there.
        for _attempt in range(3):
            greeting, _echo = server.web.websocket(f"api.{server.zone}", "hello", headers={"Cookie": cookie})
            assert greeting["instance"] == instance


def test_an_address_keeps_a_visitor_with_one_replica(shop: Shop, server: Server) -> None:
    assert len({asked(server, "web")[0] for _request in range(NEW_VISITORS)}) == 1


def test_a_security_header_is_there_beside_the_cookie(shop: Shop, server: Server) -> None:
    answer = server.web.ask(f"api.{server.zone}", "/version")
    assert "set-cookie" in answer.headers
    assert answer.headers["x-content-type-options"] == "nosniff"


class Watcher(threading.Thread):
    """Asks one route after the other, all the time; every question finds the release that serves."""

    def __init__(self, server: Server) -> None:
        super().__init__(daemon=True)
        self._server = server
        self._ended = threading.Event()
        self.releases: list[str] = []
        self.bad: list[str] = []

    def run(self) -> None:
        hosts = (f"api.{self._server.zone}", self._server.zone, f"admin.{self._server.zone}")
        while not self._ended.is_set():
            for host in hosts:
                try:
                    answer = self._server.web.ask(host, "/version")
                    if answer.status == 200:
                        self.releases.append(answer.json()["release"])
                    else:
                        self.bad.append(f"{host}: {answer.status}")
                except OSError as error:
                    self.bad.append(f"{host}: {error!r}")
                time.sleep(0.02)

    def __enter__(self) -> Watcher:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self.join()


def in_order(releases: list[str]) -> list[str]:
    """Each release once for every time that it began to answer."""
    return [name for position, name in enumerate(releases) if position == 0 or releases[position - 1] != name]


@pytest.mark.long
def test_all_routes_and_replicas_change_over_together_and_the_worker_runs_once(shop: Shop, server: Server) -> None:
    with Watcher(server) as watcher:
        shop.deploy("1.1.0")
        server.vps.check_output("slipway release rollback shop")
        server.vps.check_output("slipway release rollback shop 1.1.0")
    assert watcher.bad == []
    # Whoever saw the new release on one route never saw the old one on another one afterwards.
    assert in_order(watcher.releases) == ["1.0.1", "1.1.0", "1.0.1", "1.1.0"]
    runs = shop.query(RUNS)
    assert runs == "1.0.1 1.1.0 1.0.1 1.1.0", runs
    assert shop.query(OVERLAPS) == "0"


@pytest.mark.long
def test_a_second_worker_would_have_been_found(shop: Shop, server: Server) -> None:
    """The same question, after the worker of the other slot was started by hand."""
    (idle,) = [one for one in shop.containers("worker", everything=True) if not one["State"]["Running"]]
    server.vps.check_output(f"docker start {idle['Id']}")
    time.sleep(2)
    server.vps.check_output(f"docker stop {idle['Id']}")
    assert int(shop.query(OVERLAPS)) > 0
    shop.query("DELETE FROM public.worker_runs")


def test_a_worker_cannot_be_asked_for_twice(shop: Shop) -> None:
    play: Any = shop.play("deploy", stack_replicas={"worker": 2})
    assert play.code != 0
    assert "stack_replicas asks for 2 of worker, which may run once only" in play.output
