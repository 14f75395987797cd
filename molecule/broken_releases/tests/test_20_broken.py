# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# ruff: noqa: S608 - every name here is our own
"""Broken releases never reach users: each is given up under load, says why, leaves nothing and blocks nothing."""

from __future__ import annotations

import json
import os
import re
import shlex
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import yaml
from slipway_lab import ROOT, Play, Server
from slipway_load import Load, Report

INVENTORY = ROOT / "inventories/demo/group_vars/vps/stack.yml"
GOOD = ("1.0.0", "1.0.1")
QUICK = {"stack_observe": 2, "stack_drain_websocket": 2}
# What may differ after a release that was given up: locks, the log that records it, its number, and room kept free.
FILES = (
    "find /srv/shop /etc/nginx ! -name '*.lock' ! -name '*.holder' ! -name '.releases.jsonl.seal' ! -name .reserve"
    " ! -name releases.jsonl ! -name state.json -type f -exec sha256sum '{}' + | sort"
)
STATE = "cat /srv/shop/state.json"


def state(server: Server) -> dict[str, Any]:
    return dict(json.loads(server.vps.check_output(STATE)))


def version(server: Server) -> str:
    return str(server.web.ask(f"api.{server.zone}", "/version").json()["release"])


def deploy(server: Server, **variables: Any) -> Play:
    """The release alone: what site.yml prepared is there."""
    values = json.dumps({**QUICK, **variables})
    return server.play("deploy", "--tags", "stack_release", "--extra-vars", values)


def routes(change: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """The demo's own routes, with changes by name."""
    found = yaml.safe_load(INVENTORY.read_text(encoding="utf-8"))["stack_routes"]
    return [{**route, **change.get(route["name"], {})} for route in found]


def objects(server: Server) -> dict[str, set[str]]:
    """Containers that run, and everything that is kept, but for the idle slot's containers: every release replaces
    those."""
    active = state(server)["active"]["slot"]
    idle = {"blue": "green", "green": "blue"}[active]
    listed = server.vps.check_output("docker ps --all --no-trunc --format '{{.ID}} {{.Names}}'").splitlines()
    networks = server.vps.check_output("docker network ls --format '{{.Name}}'").splitlines()
    return {
        "containers": {line for line in listed if f" shop-{idle}-" not in line},
        "networks": {name for name in networks if not name.startswith(f"shop-{idle}_")},
        "volumes": set(server.vps.check_output("docker volume ls --quiet").splitlines()),
        "images": set(server.vps.check_output("docker images --all --quiet --no-trunc").splitlines()),
        "files": {
            line
            for line in server.vps.check_output(FILES).splitlines()
            # What the idle slot says of itself goes with its containers.
            if f"/slots/{idle}" not in line
        },
    }


def left_in_the_idle_slot(server: Server) -> list[str]:
    """Its networks stay for the next release: data services may talk to each other over them."""
    active = state(server)["active"]["slot"]
    idle = {"blue": "green", "green": "blue"}[active]
    label = f"label=com.docker.compose.project=shop-{idle}"
    return list(server.vps.check_output(f"docker ps --all --quiet --filter {label}").splitlines())


class Attempt:
    """What a release that was given up said, and what its visitors saw."""

    def __init__(self, play: Play, report: Report) -> None:
        self.play = play
        self.report = report

    @property
    def message(self) -> str:
        """The sentence of the play's failure, on one line."""
        text = self.play.output[self.play.output.rfind("FAILED!") :]
        return " ".join(text.split())


class Stage:
    """One server with a good release, and the ways to put a broken one beside it."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.followed: set[str] = set()

    def next_one(self, phase: str, **variables: Any) -> None:
        """The next release works after one that was given up in this phase; the short form asks once for each phase."""
        if phase not in self.followed or os.environ.get("SLIPWAY_LONG"):
            self.followed.add(phase)
            self.good(**variables)

    def good(self, **variables: Any) -> Play:
        """The release that does not serve now of the two good ones; it has to work with no step between."""
        name = next(name for name in GOOD if name != version(self.server))
        play = deploy(self.server, stack_release=name, **variables)
        assert play.code == 0, play.output[-6000:]
        assert version(self.server) == name
        return play

    def broken(self, *, idle_slot_emptied: bool = True, **variables: Any) -> Attempt:
        """A release that must be given up, with nothing lost and nothing left."""
        served, before = version(self.server), objects(self.server)
        number = state(self.server)["next_release"]
        with Load(self.server, rate=20, websockets=2) as load:
            play = deploy(self.server, **variables)
        attempt = Attempt(play, load.report)
        assert play.code != 0, play.output[-6000:]
        assert load.report.lost == 0, str(load.report)
        assert version(self.server) == served
        assert state(self.server)["phase"] == "idle"
        after = objects(self.server)
        for kind, names in after.items():
            assert names - before[kind] == set(), kind
            if kind != "images":
                assert before[kind] - names == set(), kind
        if idle_slot_emptied:
            assert left_in_the_idle_slot(self.server) == []
        assert not self.server.vps.file(f"/srv/shop/releases/{number}").exists
        assert "Traceback (most recent call last)" not in play.output
        assert f"{served} (number" in attempt.message and "serves from slot" in attempt.message, attempt.message
        return attempt


@pytest.fixture(scope="module")
def stage(server: Server) -> Stage:
    found = Stage(server)
    if version(server) not in GOOD:
        assert deploy(server, stack_release=GOOD[0]).code == 0
    return found


def given_up(attempt: Attempt, phase: str, *, moved: bool = False) -> None:
    assert f"was given up in phase {phase}:" in attempt.message, attempt.message
    where = "The traffic was moved back" if moved else "The traffic never moved"
    assert where in attempt.message, attempt.message


@pytest.mark.long
def test_the_image_is_missing(stage: Stage) -> None:
    attempt = stage.broken(stack_release="9.9.9", idle_slot_emptied=False)
    given_up(attempt, "pull")
    assert "shop/app:9.9.9 does not exist in its registry" in attempt.message
    assert "docker_registry_logins" in attempt.message
    stage.next_one("pull")


def test_the_image_crashes(stage: Stage) -> None:
    attempt = stage.broken(stack_release="1.2.0-crash")
    given_up(attempt, "start")
    assert re.search(r"The container shop-\w+-api-1 is not ready: it ended with status 3", attempt.message)
    assert "The application cannot start: a setting is missing." in attempt.play.output
    stage.next_one("start")


def test_the_health_check_is_never_green(stage: Stage) -> None:
    attempt = stage.broken(stack_release="1.2.0-unhealthy", stack_health_timeout=15)
    given_up(attempt, "start")
    assert "did not become ready in time" in attempt.message
    assert re.search(r"Container shop-\w+-api-1: running, health starting", attempt.play.output)
    assert "its health check said:" in attempt.play.output
    assert re.search(r'its last lines:(?:\n.*)*"GET /health HTTP/1[.]\d\\" 500', attempt.play.output)
    stage.next_one("start")


@pytest.mark.long
def test_the_health_is_green_and_the_body_wrong(stage: Stage) -> None:
    wanted = routes({"web": {"health": {"path": "/health", "body": '"status": ?"ok"'}}})
    attempt = stage.broken(stack_release="1.2.0-wrong-body", stack_routes=wanted, stack_probe_timeout=3)
    given_up(attempt, "probe")
    assert "The route web does not answer well 3 times in a row" in attempt.message
    assert "status 200, but the body does not match" in attempt.message
    assert '"status": "broken"' in attempt.play.output
    stage.next_one("probe", stack_routes=wanted)


@pytest.mark.long
def test_a_header_is_wrong(stage: Stage) -> None:
    wanted = routes({"web": {"health": {"path": "/health", "headers": {"X-Release": r"^9[.]"}}}})
    attempt = stage.broken(stack_release=GOOD[0], stack_force=True, stack_routes=wanted, stack_probe_timeout=3)
    given_up(attempt, "probe")
    assert "the header X-Release is" in attempt.message
    stage.next_one("probe")


def test_a_bad_expression_is_refused_before_anything_starts(server: Server) -> None:
    before = state(server)
    wanted = routes({"web": {"health": {"path": "/health", "body": "("}}})
    play = deploy(server, stack_release="1.1.0", stack_routes=wanted)
    assert play.code != 0 and "is not a regular expression" in play.output
    assert state(server) == before


def test_the_migration_fails(stage: Stage) -> None:
    attempt = stage.broken(stack_release="1.2.0-migration-fails")
    given_up(attempt, "migrate")
    assert "The command migrate of service api failed with status 1" in attempt.message
    assert 'type "no_such_type" does not exist' in attempt.message
    stage.next_one("migrate")


def test_the_migration_hangs(stage: Stage) -> None:
    limited = {"service": "api", "command": ["migrate"], "timeout": 3}
    attempt = stage.broken(stack_release="1.2.0-migration-hangs", stack_migrate=limited)
    given_up(attempt, "migrate")
    assert "did not end within 3 s and was stopped" in attempt.message
    assert "waiting for something that never comes" in attempt.message
    stage.next_one("migrate")


PSQL = "docker exec shop-data-postgres-1 psql --username shop --dbname shop --no-align --tuples-only --command %s"
COLOUR = {"name": "0003_colour.sql", "sql": "ALTER TABLE products ADD COLUMN colour text NOT NULL DEFAULT 'none'"}
BAD_COLOUR = {**COLOUR, "sql": "ALTER TABLE products ADD COLUMN colour no_such_type"}
NAMED = {"name": "0004_named.sql", "sql": "ALTER TABLE products ADD CONSTRAINT named CHECK (name <> 'nameless')"}
SLUGS = ("alpha", "bravo", "charlie")


def sql(server: Server, statement: str) -> list[str]:
    return str(server.vps.check_output(PSQL, statement)).split()


def have(server: Server, what: str, name: str) -> set[str]:
    """The tenants whose tables have a column or a constraint of this name."""
    place = {"column": "columns", "constraint": "table_constraints"}[what]
    listed = f"SELECT table_schema FROM information_schema.{place} WHERE {what}_name = '{name}'"
    return {schema.removeprefix("tenant_") for schema in sql(server, listed)}


@pytest.fixture(scope="module")
def templates(server: Server) -> Iterator[None]:
    """The tenants as they were, before and after."""

    def clean() -> None:
        for slug in SLUGS:
            table = f"tenant_{slug}.products"
            sql(server, f"ALTER TABLE {table} DROP COLUMN IF EXISTS colour, DROP CONSTRAINT IF EXISTS named")
            sql(server, f"DELETE FROM {table} WHERE name = 'nameless'")
        sql(server, "DELETE FROM slipway.tenant_migrations WHERE template > '0003'")

    clean()
    yield
    clean()


def mended(stage: Stage, **variables: Any) -> None:
    """The next release goes through, and nobody who visits meanwhile is turned away."""
    with Load(stage.server, rate=20, websockets=2) as load:
        stage.good(**variables)
    assert load.report.lost == 0, str(load.report)


@pytest.mark.long
@pytest.mark.usefixtures("templates")
def test_a_template_is_wrong_for_every_tenant(stage: Stage) -> None:
    attempt = stage.broken(stack_release="1.1.0", tenants_templates=[BAD_COLOUR])
    given_up(attempt, "tenants")
    assert "The SQL template 0003_colour.sql failed for tenant alpha, line 1:" in attempt.message
    assert 'type "no_such_type" does not exist' in attempt.message
    assert "(2 more failed)" in attempt.message
    assert have(stage.server, "column", "colour") == set()
    # What no tenant has run is simply corrected.
    mended(stage, tenants_templates=[COLOUR])
    assert have(stage.server, "column", "colour") == set(SLUGS)


@pytest.mark.usefixtures("templates")
@pytest.mark.long
def test_a_template_meets_the_data_of_one_tenant(stage: Stage) -> None:
    server = stage.server
    bravo = f"bravo.{server.zone}"
    answer = server.web.ask(bravo, "/products", method="POST", body={"name": "nameless", "price_cents": 1})
    assert answer.status == 201, answer.text
    attempt = stage.broken(stack_release="1.1.0", tenants_templates=[COLOUR, NAMED])
    given_up(attempt, "tenants")
    assert "The SQL template 0004_named.sql failed for tenant bravo" in attempt.message
    assert "more failed" not in attempt.message
    # The others have it already, and all of them are served by the release before.
    assert have(server, "constraint", "named") == set(SLUGS) - {"bravo"}
    for slug in SLUGS:
        assert server.web.ask(f"{slug}.{server.zone}", "/products").status == 200
    sql(server, "DELETE FROM tenant_bravo.products WHERE name = 'nameless'")
    mended(stage, tenants_templates=[COLOUR, NAMED])
    assert have(server, "constraint", "named") == set(SLUGS)
    ran = sql(server, "SELECT slug FROM slipway.tenant_migrations WHERE template = '0004_named.sql' ORDER BY 1")
    assert ran == list(SLUGS)


SQUATTER = """
import json, socket, time
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
while True:
    moving = json.load(open("/srv/shop/state.json"))["transition"]
    if moving and moving["phase"] in ("prepare", "migrate", "tenants"):
        listener.bind(("127.0.0.1", moving["upstreams"]["api"][0]))
        listener.listen()
        time.sleep(600)
    time.sleep(0.01)
"""


@contextmanager
def unit(server: Server, name: str, *argv: str) -> Iterator[None]:
    """A program that somebody else runs on the server."""
    server.vps.check_output(f"systemd-run --quiet --collect --unit={name} {shlex.join(argv)}")
    try:
        yield
    finally:
        server.vps.run(f"systemctl stop {name}")


@pytest.mark.long
def test_the_port_of_the_slot_is_taken_in_the_middle(stage: Stage) -> None:
    with unit(stage.server, "squatter", "python3", "-c", SQUATTER):
        attempt = stage.broken(stack_release="1.1.0")
        given_up(attempt, "start")
        assert re.search(r"port \d+ belongs to python3, pid \d+", attempt.message), attempt.message
        # The port is still taken: the next release gets another one.
        with Load(stage.server, rate=20) as load:
            stage.good()
        assert load.report.requests_lost == 0, str(load.report)


@contextmanager
def file(server: Server, path: str, content: str) -> Iterator[None]:
    server.vps.check_output(f"printf %s {shlex.quote(content)} > {path}")
    try:
        yield
    finally:
        server.vps.check_output(f"rm -f {path}")


@pytest.mark.long
def test_a_reload_of_nginx_fails_with_status_zero(stage: Stage) -> None:
    changed = routes({"web": {"max_body_size": "3m"}})
    listen = "server { listen 127.0.0.1:8099; return 204; }\n"
    listener = ("python3", "-m", "http.server", "8099", "--bind", "127.0.0.1")
    with unit(stage.server, "listener", *listener), file(stage.server, "/etc/nginx/slipway/sites/other.conf", listen):
        attempt = stage.broken(stack_release="1.1.0", stack_routes=changed)
        given_up(attempt, "edge")
        assert "although its reload ended with status 0" in attempt.message
        assert "bind() to 127.0.0.1:8099 failed (98: Address already in use)" in attempt.message
    stage.next_one("edge", stack_routes=changed)


def test_nginx_refuses_the_new_configuration(stage: Stage) -> None:
    attempt = stage.broken(stack_release="1.1.0", stack_routes=routes({"web": {"max_body_size": "9" * 30 + "g"}}))
    given_up(attempt, "edge")
    assert "Nginx refuses its configuration" in attempt.message
    assert '"client_max_body_size" directive invalid value' in attempt.message
    stage.next_one("edge")


def test_it_gets_sick_only_after_the_switch(stage: Stage) -> None:
    attempt = stage.broken(stack_release="1.2.0-sick-in-use", stack_observe=20)
    given_up(attempt, "observe", moved=True)
    assert "Under traffic the release is sick" in attempt.message
    assert "status 500 instead of 2xx or 3xx" in attempt.message
    seen = {entry.release for entry in attempt.report.releases()}
    assert "1.2.0-sick-in-use" in seen, "the traffic had moved"
    stage.next_one("observe")


@contextmanager
def small(server: Server, directory: str, size: str) -> Iterator[None]:
    """A small file system over a directory."""
    server.vps.check_output(f"mount -t tmpfs -o size={size},mode=0755 small {directory}")
    try:
        yield
    finally:
        server.vps.check_output(f"umount --lazy {directory}")


@contextmanager
def small_copy(server: Server, directory: str, size: str) -> Iterator[None]:
    """A small file system over a directory, with all that is in it, and what has become of it put back afterwards."""
    aside = "/var/tmp/aside"
    server.vps.check_output(f"rm -rf {aside} && cp --archive {directory} {aside}")
    with small(server, directory, size):
        server.vps.check_output(f"cp --archive --sparse=never {aside}/. {directory}/")
        # Nginx has a mount namespace of its own, which learns of mounts when it starts.
        server.vps.check_output("systemctl restart nginx")
        try:
            yield
        finally:
            server.vps.check_output(f"rm -rf {aside} && cp --archive {directory} {aside}")
    server.vps.check_output(
        f"find {directory} -mindepth 1 -delete && cp --archive {aside}/. {directory}/ && rm -rf {aside}"
        " && systemctl restart nginx"
    )


@pytest.mark.long
def test_the_disk_is_full_while_images_are_pulled(stage: Stage) -> None:
    with small(stage.server, "/var/lib/docker/tmp", "4m"):
        attempt = stage.broken(stack_release="1.2.0-large", idle_slot_emptied=False)
    given_up(attempt, "pull")
    assert "no space left on device" in attempt.message
    assert "docker system df" in attempt.message
    stage.next_one("pull")


@pytest.mark.long
def test_the_disk_is_full_while_the_release_is_written(stage: Stage) -> None:
    """The stack's own directory, with so little room that only what was kept free lets the release be taken back."""
    server = stage.server
    with small_copy(server, "/srv/shop", "4m"):
        filled = (
            "blocks=$(($(stat --file-system --format=%a /srv/shop) - 4)); head --bytes=$((blocks * 4096)) /dev/zero"
        )
        server.vps.check_output(f"{filled} > /srv/shop/pages/filling")
        attempt = stage.broken(stack_release="1.1.0", stack_min_free_disk_mb=0, idle_slot_emptied=False)
        given_up(attempt, "write")
        assert "No space is left on the file system" in attempt.message
        assert "df -h" in attempt.message
        server.vps.check_output("rm /srv/shop/pages/filling")
        stage.good(stack_min_free_disk_mb=0)
    stage.good()


@pytest.mark.long
def test_the_disk_is_full_before_it_starts(stage: Stage) -> None:
    attempt = stage.broken(stack_release="1.1.0", stack_min_free_disk_mb=99999999, idle_slot_emptied=False)
    given_up(attempt, "preflight")
    assert re.search(r"Only \d+ MB are free below /var/lib/docker, 99999999 MB are asked for", attempt.message)


def test_the_memory_does_not_do_for_two_slots(stage: Stage) -> None:
    attempt = stage.broken(stack_release="1.1.0", stack_min_free_memory_mb=9999999, idle_slot_emptied=False)
    given_up(attempt, "preflight")
    said = r"Only \d+ MB of memory are available: the new slot needs about [1-9]\d* MB beside the one that serves"
    assert re.search(said, attempt.message), attempt.message


@contextmanager
def without_registry(server: Server) -> Iterator[None]:
    address = server.vps.check_output("getent ahostsv4 registry.lab.test").split()[0]
    assert socket.inet_aton(address)
    rule = f"OUTPUT --destination {address} --protocol tcp --jump REJECT --reject-with tcp-reset"
    server.vps.check_output(f"iptables --insert {rule}")
    try:
        yield
    finally:
        server.vps.check_output(f"iptables --delete {rule}")


@pytest.mark.long
def test_the_registry_is_down(stage: Stage) -> None:
    with without_registry(stage.server):
        attempt = stage.broken(stack_release="1.1.0", idle_slot_emptied=False)
    given_up(attempt, "pull")
    assert "The registry of the image registry.lab.test:5000/shop/app:1.1.0 does not answer as it should" in (
        attempt.message
    )
    stage.next_one("pull")
