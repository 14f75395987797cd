# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What containers publish, as a stranger on the same network sees it."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from slipway_lab import Server
from slipway_neighbour import KNOCK, Link, Stranger, docker

IMAGE = "registry.lab.test:5000/shop/app:1.0.0"
# By hand, as a team does: the Engine of Debian 13 publishes over IPv6 only if it is told to.
TELL = """
import json, pathlib
path = pathlib.Path("/etc/docker/daemon.json")
path.write_text(json.dumps({**json.loads(path.read_text()), "experimental": True, "ip6tables": True}))
"""
PUBLISHED, LOOPBACK, NAMED, ALLOWED, SILENT = 18081, 18082, 18083, 18084, 18085
NETWORKS = {
    "wide": ["--ipv6", "--subnet", "fd99:1::/64"],
    "named": ["--ipv6", "--subnet", "fd99:2::/64", "--opt", "com.docker.network.bridge.name=custom0"],
}


@dataclass(frozen=True)
class Published:
    """The server under test, with containers that publish ports in every way."""

    server: Server
    addresses: tuple[str, str]

    def run(self, command: str) -> str:
        return str(self.server.vps.check_output(command))

    def start(self) -> None:
        self.stop()
        self.run(f"docker pull --quiet {IMAGE}")
        for name, options in NETWORKS.items():
            self.run(f"docker network create {' '.join(options)} {name}")
        self._serve(
            "wide-open", "wide", *(f"{every}:{port}" for port in (PUBLISHED, ALLOWED) for every in ("0.0.0.0", "[::]"))
        )
        self._serve("wide-loopback", "wide", f"127.0.0.1:{LOOPBACK}")
        self._serve("wide-silent", "wide", str(SILENT))
        self._serve("named-open", "named", f"0.0.0.0:{NAMED}", f"[::]:{NAMED}")

    def _serve(self, name: str, network: str, *ports: str) -> None:
        publish = " ".join(f"--publish '{port}:8000'" for port in ports)
        server = "--entrypoint python3 --workdir /tmp"
        self.run(
            f"docker run --detach --restart always --name {name} --network {network} {publish} {server} {IMAGE}"
            " -m http.server --bind ::"
        )

    def all_run(self) -> bool:
        try:
            return self.run("docker ps --quiet --filter name=wide- --filter name=named-").count("\n") == 3
        except (RuntimeError, AssertionError):
            return False  # it boots

    def stop(self) -> None:
        self.server.vps.run("docker rm --force wide-open wide-loopback wide-silent named-open")
        self.server.vps.run("docker network rm wide named")

    def knocks(self, *targets: str, inside: str = "") -> dict[str, bool]:
        """The same question, asked from the server or from one of its containers."""
        before = ["docker", "exec", inside] if inside else []
        found: dict[str, bool] = json.loads(self.run(shlex.join([*before, "python3", "-c", KNOCK, *targets])))
        return found

    def of(self, container: str) -> list[str]:
        """The container's own addresses."""
        described = json.loads(self.run(f"docker inspect {container}"))[0]["NetworkSettings"]["Networks"]
        return [address for entry in described.values() for address in (entry["IPAddress"], entry["GlobalIPv6Address"])]

    def at(self, port: int) -> list[str]:
        return [f"{address}:{port}" for address in self.addresses]

    @property
    def closed(self) -> list[str]:
        """All that a stranger must not get to."""
        ports = (PUBLISHED, LOOPBACK, NAMED, ALLOWED, SILENT)
        direct = [f"{address}:8000" for name in ("wide-open", "wide-loopback") for address in self.of(name)]
        return [*(target for port in ports for target in self.at(port)), *direct, f"127.0.0.1:{LOOPBACK}"]


@pytest.fixture(scope="module")
def link(server: Server) -> Iterator[Link]:
    made = Link(server, Server("vps3"))
    made.plug()
    yield made
    made.unplug()


@pytest.fixture(scope="module")
def published(server: Server, link: Link) -> Iterator[Published]:
    server.vps.check_output(f"python3 -c '{TELL}'")
    server.playbook("molecule/shared/engine.yml")
    made = Published(server, (server.address, link.addresses(server)[1]))
    made.start()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def stranger(published: Published, link: Link) -> Iterator[Stranger]:
    with Stranger(Server("vps3"), link) as made:
        learn(made, published)
        yield made


def learn(stranger: Stranger, published: Published) -> None:
    """The ways that a neighbour may try: to the containers' own addresses, and to the server's loopback."""
    for address in (*published.of("wide-open"), *published.of("wide-loopback"), "127.0.0.1"):
        stranger.route(address, published.addresses[":" in address])


def open_of(stranger: Stranger, published: Published) -> set[str]:
    return {target for target, answers in stranger.knocks(*published.closed).items() if answers}


def test_the_stranger_sees_what_is_allowed(stranger: Stranger, published: Published) -> None:
    assert all(stranger.knocks(*published.at(22), f"{published.server.address}:443").values())


def test_what_is_not_allowed_is_closed(stranger: Stranger, published: Published) -> None:
    assert open_of(stranger, published) == set()


def test_it_is_the_firewall_that_closes_it_and_a_reload_does_so_again(stranger: Stranger, published: Published) -> None:
    direct = [f"{address}:8000" for address in (*published.of("wide-open"), published.of("wide-loopback")[0])]
    try:
        for tool in ("iptables", "ip6tables"):
            published.run(f"{tool} -I DOCKER-USER -j RETURN")
            published.run(f"{tool} -t raw -F slipway-raw")
        found = open_of(stranger, published)
    finally:
        published.run("ufw reload")
    assert found >= {*published.at(PUBLISHED), *published.at(NAMED), *direct, f"127.0.0.1:{LOOPBACK}"}
    assert open_of(stranger, published) == set()


def test_a_port_without_an_address_is_on_loopback_alone(published: Published) -> None:
    assert published.run("docker port wide-silent").splitlines() == [f"8000/tcp -> 127.0.0.1:{SILENT}"]


def test_the_host_itself_reaches_loopback_ports(published: Published) -> None:
    assert all(published.knocks(f"127.0.0.1:{LOOPBACK}", f"127.0.0.1:{SILENT}").values())


def test_containers_reach_each_other_and_the_world(published: Published) -> None:
    world = ("registry.lab.test:5000", f"{published.server.address}:443")
    assert all(published.knocks("wide-silent:8000", *world, inside="wide-open").values())
    assert all(published.knocks(*world[:1], inside="named-open").values())


def test_it_stays_closed_when_the_engine_restarts(stranger: Stranger, published: Published) -> None:
    published.run("systemctl restart docker")
    assert open_of(stranger, published) == set()


def test_a_port_in_the_list_is_open_and_no_other(stranger: Stranger, published: Published) -> None:
    allow = [{"port": 80}, {"port": 443}, {"port": ALLOWED}]
    published.server.playbook("harden", "--extra-vars", json.dumps({"hardening_firewall_allow": allow}))
    assert open_of(stranger, published) == set(published.at(ALLOWED))


def test_so_it_is_after_a_reboot(stranger: Stranger, published: Published) -> None:
    docker("restart", f"slipway-lab-{published.server.name}")
    deadline = time.monotonic() + 120
    while not published.all_run():
        assert time.monotonic() < deadline, "The containers did not come back within two minutes."
        time.sleep(1)
    learn(stranger, published)
    assert open_of(stranger, published) == set(published.at(ALLOWED))
    while published.server.web.ask(f"api.{published.server.zone}", "/ready").status != 200:
        assert time.monotonic() < deadline, "Nginx did not get to its loopback ports within two minutes."
        time.sleep(1)


@pytest.mark.long
def test_what_leaves_the_list_is_closed_again(stranger: Stranger, published: Published) -> None:
    published.server.playbook("harden")
    assert open_of(stranger, published) == set()
