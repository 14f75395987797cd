# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Releases under a steady stream of requests: nothing is lost, nobody is cut off early, and hardly anybody notices."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from slipway_lab import ROOT, Play, Server
from slipway_load import Load, Report

# Two cores can carry twice as much beside a booting slot and the playbook that boots it, but not other tests as well.
RATE = float(os.environ.get("SLIPWAY_LOAD_RATE", "200" if os.environ.get("SLIPWAY_LONG") else "100"))
WEBSOCKETS = 20
DRAIN_WEBSOCKET = 5
QUICKLY = ("-e", "stack_observe=2", "-e", f"stack_drain_websocket={DRAIN_WEBSOCKET}")
STEADY_SECONDS = 8
# To each slot and back from it; the long form does so twice.
RELEASES = ["1.0.1", "1.1.0"] * (2 if os.environ.get("SLIPWAY_LONG") else 1)
GOING_AWAY = {1001, 1012}
OWN_GOODBYE = 1000
PEERS = ROOT / "tests" / "bench" / "deploy" / "peers"
PEERS_ZONE = "peers.test"


def deploy(server: Server, release: str, *more: str) -> Play:
    return server.playbook("deploy", "-e", f"stack_release={release}", *QUICKLY, *more, nice=19)


def serving(server: Server) -> str:
    return str(server.web.ask(f"api.{server.zone}", "/version").json()["release"])


@pytest.fixture(scope="module", autouse=True)
def first_release(server: Server) -> Iterator[None]:
    """Begin and end with a release that keeps its manners."""
    if serving(server) != "1.0.0":
        deploy(server, "1.0.0")
    yield
    deploy(server, "1.0.0")


@pytest.fixture(scope="module")
def some_releases(server: Server, first_release: None) -> Report:
    with Load(server, alone=True, rate=RATE, websockets=WEBSOCKETS, slow=1, handshakes=2) as load:
        time.sleep(STEADY_SECONDS)
        for release in RELEASES:
            with load.window("release"):
                deploy(server, release)
            time.sleep(STEADY_SECONDS)
    return load.report


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Any:
    def write(title: str, report: Report) -> None:
        with capsys.disabled():
            print(f"\n{title}: {report}")

    return write


def test_releases_lose_nothing(some_releases: Report, say: Any) -> None:
    say("Releases by Slipway", some_releases)
    assert some_releases.lost == 0, str(some_releases)
    counts = some_releases.counts()
    assert set(counts) == {"get", "page", "post", "slow", "handshake", "websocket"}
    assert counts["post"]["sent"] > len(RELEASES) * STEADY_SECONDS * RATE / 10
    # A harness that could not keep its own times would prove nothing about anybody else's.
    assert sum(counts[kind]["sent"] for kind in ("get", "page", "post")) > 0.95 * RATE * (
        some_releases.ended - some_releases.began - 15
    )


def test_the_traffic_moves_at_once(some_releases: Report) -> None:
    switches = some_releases.switches()
    assert [switch.release for switch in switches] == RELEASES
    for switch in switches:
        assert switch.overlap < 1, f"{switch}: the release before still answered new requests"


def test_all_services_switch_together(some_releases: Report) -> None:
    """Pages come from one service, everything else from another."""
    pages, answers = some_releases.switches(("page",)), some_releases.switches(("get", "post"))
    assert [switch.release for switch in pages] == [switch.release for switch in answers]
    for page, answer in zip(pages, answers, strict=True):
        assert abs(page.moment - answer.moment) < 1


def test_new_websockets_reach_the_new_slot_at_once(some_releases: Report) -> None:
    switches = some_releases.switches(("handshake",))
    assert [switch.release for switch in switches] == RELEASES
    for early, late in zip(some_releases.switches(), switches, strict=True):
        assert late.overlap < 1
        # Two a second are opened.
        assert late.moment - early.moment < 2


def test_held_websockets_live_until_the_drain_limit_and_are_told(some_releases: Report) -> None:
    switches = some_releases.switches()
    told = [session for session in some_releases.sessions if session.code != OWN_GOODBYE]
    assert len(told) == WEBSOCKETS * len(switches), some_releases.closes()
    assert {session.code for session in told} <= GOING_AWAY
    for session in told:
        moved = max(switch.moment for switch in switches if switch.moment < session.closed)
        assert session.closed - moved >= DRAIN_WEBSOCKET, "it was closed before its time"
        came_back = min(
            later.opened
            for later in some_releases.sessions
            if later.visitor == session.visitor and later.opened >= session.closed
        )
        assert came_back - session.closed < 3


def test_slow_requests_in_flight_at_the_switch_finish(some_releases: Report) -> None:
    for switch in some_releases.switches():
        crossing = [
            sample
            for sample in some_releases.samples
            if sample.kind == "slow" and sample.due < switch.moment < sample.due + sample.seconds
        ]
        assert crossing, "none was in flight, so nothing was proved"
        assert {sample.release for sample in crossing} <= {switch.before, switch.release}
        assert all(sample.reason == "" for sample in crossing)


@pytest.mark.long
def test_visitors_hardly_feel_a_release(some_releases: Report) -> None:
    steady, during = some_releases.steady(), some_releases.window("release")
    assert during.p99 <= 2 * steady.p99, f"steady: {steady}; during releases: {during}"


def test_the_new_slot_booted_with_a_small_share_of_the_cpu(server: Server, some_releases: Report) -> None:
    """Its containers were made with the small share; what serves has what the Compose file asks for (nothing: 1024)."""
    state = json.loads(server.vps.file("/srv/shop/state.json").content_string)["active"]
    place = f"/srv/shop/releases/{state['release']}/override.{state['slot']}.json"
    services = json.loads(server.vps.file(place).content_string)["services"]
    assert {name: service["cpu_shares"] for name, service in services.items()} == {
        "api": 128,
        "dashboard": 128,
        "web": 128,
    }
    found = server.vps.check_output(
        "docker ps --quiet --filter label=com.docker.compose.project=shop-" + state["slot"] + " | xargs docker inspect "
        "--format '{{.HostConfig.CpuShares}} {{index .Config.Labels \"vps.slipway.cpu_shares\"}}'"
    )
    assert found.splitlines() == ["1024 1024"] * 3


@pytest.mark.long
def test_replicas_that_die_at_once_lose_nothing(server: Server, say: Any) -> None:
    """By the time they are told to stop, nobody talks to them any more. The second replica makes Nginx reload, too."""
    replicas = ("-e", '{"stack_replicas": {"api": 2}}')
    deploy(server, "1.2.0-abrupt", *replicas)
    with Load(server, rate=RATE, slow=1) as load:
        time.sleep(2)
        deploy(server, "1.0.0", *replicas)
        time.sleep(2)
    say("Two replicas of an application that dies at once on SIGTERM", load.report)
    assert [switch.release for switch in load.report.switches()] == ["1.0.0"]
    assert load.report.lost == 0, str(load.report)


@pytest.mark.long
def test_a_reload_by_somebody_else_loses_nothing(server: Server, say: Any) -> None:
    """A renewed certificate, a new tenant, an administrator: systemd reloads Nginx as a release does."""
    with Load(server, rate=RATE) as load:
        for _number in range(3):
            time.sleep(2)
            server.vps.check_output("systemctl reload nginx")
        time.sleep(2)
    say("Three reloads of Nginx by systemd", load.report)
    assert load.report.lost == 0, str(load.report)
    assert not server.vps.file("/run/slipway-nginx-closing").exists


class Peers:
    """The same shop on the same host, released by `docker compose up -d`."""

    def __init__(self, server: Server, certificate: Path) -> None:
        self.address = server.address
        self.zone = PEERS_ZONE
        self.ca = str(certificate)


@pytest.fixture
def peers(server: Server, tmp_path: Path) -> Peers:
    """The same shop beside it, released with Docker Compose alone."""
    server.playbook(str(PEERS / "prepare.yml"))
    certificate = tmp_path / "peers.pem"
    certificate.write_text(server.vps.file("/srv/peers/certificate.pem").content_string, encoding="utf-8")
    return Peers(server, certificate)


@pytest.mark.long
def test_the_same_load_over_plain_compose_loses_some(server: Server, peers: Peers, say: Any) -> None:
    """If it did not, the visitors would not be looking."""
    running = server.vps.check_output("sed -n s/^RELEASE=//p /srv/peers/.env")
    with Load(peers, ca=peers.ca, rate=RATE, websockets=WEBSOCKETS, slow=1, handshakes=2) as load:
        time.sleep(2)
        server.playbook(
            str(PEERS / "release.yml"),
            *("-e", "peer=compose_up", "-e", f"stack_release={'1.0.1' if running == '1.0.0' else '1.0.0'}"),
            nice=19,
        )
        time.sleep(5)
    say("One release by docker compose up -d", load.report)
    assert load.report.lost > 0
    assert load.report.requests_lost > 0
