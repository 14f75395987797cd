# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A host that can be killed between any two of its acts: containers, Nginx and a clock that costs no time.

The pipeline, the recovery, the state, the store and the text of Nginx are the real ones; only what would leave the
process is answered from here. Every act that changes something asks `act` first, which may be where it ends.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.slipway.vps.plugins.module_utils.common import files, lock
from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError
from ansible_collections.slipway.vps.plugins.module_utils.release import (
    audit,
    capacity,
    commands,
    compose,
    drain,
    edge,
    engine,
    health,
    host,
    images,
    keepers,
    nginx,
    paths,
    store,
)
from ansible_collections.slipway.vps.plugins.module_utils.release.daemon import Container
from ansible_collections.slipway.vps.plugins.module_utils.release.expectation import Expectation
from ansible_collections.slipway.vps.plugins.module_utils.release.model import Model

STACK = "shop"
WORKER = "worker"
CHECK = {"test": ["CMD", "true"]}
SERVICES = {
    "api": {"healthcheck": CHECK},
    "web": {"healthcheck": CHECK, "depends_on": {"api": {}}},
    WORKER: {"healthcheck": CHECK},
    "postgres": {"healthcheck": CHECK},
}
UPSTREAM = re.compile(r"upstream (\S+) \{\n\s+server 127\.0\.0\.1:(\d+)")


class Killed(BaseException):
    """The process is gone; whatever it still tries does nothing."""


@dataclass
class Fakes:
    """A container with what the engine does not see."""

    seen: Container
    project: str
    one_off: bool = False
    stopped: bool = False  # by request, so that it stays down after a reboot


class World:
    """The host. `kill_at` is the number of the act before which the process dies, `fail_at` of the one that fails;
    `kill_after` names an act right after which it dies."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.containers: dict[str, Fakes] = {}
        self.networks: dict[str, dict[str, str]] = {}  # labels by name
        self.asked: dict[str, Any] = {"back": {}}  # the networks of the team's file
        self.loaded: dict[Path, str] = {}
        self.paths = paths.StackPaths(STACK, root / "srv", root / "nginx")
        self.acts = 0
        self.kill_at: int | None = None
        self.fail_at: int | None = None
        self.kill_after = ""
        self.last: str | None = None
        self.dead = False
        self.exclusive_in: set[str] = set()
        self.must_answer = False

    # --- the process

    def act(self, what: str) -> None:
        if self.dead:
            raise Killed
        self.look(what)
        self.acts += 1
        if self.acts == self.kill_at or self.kill_after == self.last:
            self.dead = True
            raise Killed
        self.last = what
        if self.acts == self.fail_at:
            raise SlipwayError(f"It went wrong at: {what}.")

    def look(self, moment: str) -> None:
        """What has to hold at every moment."""
        running = self.workers()
        assert len(running) <= 1, f"workers run in {running} before: {moment}"
        if self.must_answer:
            assert self.answer() is not None, f"visitors get no answer before: {moment}"

    def workers(self) -> list[str]:
        return [
            entry.project
            for entry in self.containers.values()
            if entry.seen.service == WORKER and entry.seen.running and not entry.one_off
        ]

    def process(self, work: Callable[[], Any], *, kill_at: int | None = None, fail_at: int | None = None) -> Any:
        """Do the work as a process of its own; None if it was killed, the error if it failed."""
        self.acts, self.dead, self.kill_at, self.fail_at = 0, False, kill_at, fail_at
        try:
            return work()
        except (Killed, SlipwayError) as error:
            return None if self.dead else error
        finally:
            self.dead, self.kill_at, self.fail_at = False, None, None
            self.kill_after, self.last = "", None

    def reboot(self) -> None:
        """What was stopped by request stays down, all else comes back; Nginx reads what is on disk."""
        for entry in self.containers.values():
            if entry.seen.status != "created":
                entry.seen = replace(entry.seen, status="exited" if entry.stopped else "running")
        for name in [name for name, entry in self.containers.items() if entry.one_off]:
            del self.containers[name]
        self.loaded = self.on_disk()

    # --- what visitors see

    def on_disk(self) -> dict[Path, str]:
        return edge.current(self.paths)

    def slot(self) -> str:
        return "green" if self.paths.flag.exists() else "blue"

    def answer(self) -> str | None:
        """The image of the container that Nginx, as it is loaded, leads a visitor of the web route to."""
        text = self.loaded.get(self.paths.nginx / "upstreams.conf", "")
        ports = dict(UPSTREAM.findall(text))
        port = int(ports.get(f"{STACK}_web_{self.slot()}", 0))
        found = [e.seen for e in self.containers.values() if e.seen.running and port in e.seen.ports]
        assert len(found) <= 1, f"two containers on port {port}"
        return found[0].image if found else None

    def fetch(self, name: str, wanted: Expectation) -> health.Answer:
        status, headers, body = self._reply(name, wanted.path)
        return health.Answer(name, status, headers, body, wanted.complaint(status, headers, body))

    def _reply(self, name: str, path: str) -> tuple[int, dict[str, str], str]:
        text = self.loaded.get(self.paths.nginx / "hosts" / f"{name}.conf")
        if text is None:
            return 0, {}, "closed"
        if path == nginx.CONFIG_PATH:
            return 200, {nginx.CONFIG_HEADER.lower(): nginx.config_of(self.loaded)}, ""
        if path == nginx.RELEASE_PATH:
            place = self.paths.slot_text(self.slot())
            return 200 if place.exists() else 404, {}, place.read_text() if place.exists() else ""
        answer = self.answer()
        return 200 if answer else 502, {}, answer or ""

    # --- Nginx

    def run(self, argv: Sequence[str], **_options: Any) -> None:
        if "reload" in argv:
            self.act("reload")
            self.loaded = self.on_disk()

    # --- Docker Compose

    def call(self, argv: Sequence[str], _values: Mapping[str, str], _timeout: float) -> None:
        words = list(argv)
        project = words[words.index("-p") + 1]
        override = json.loads(Path(next(word for word in words if "override." in word)).read_text())
        for network in override["networks"].values():
            self.act(f"network {network['name']}")
            labels = network.get("labels", {})
            # Compose would make it anew, and fail because other projects' containers are on it.
            assert self.networks.setdefault(network["name"], labels) == labels, f"{network['name']} is another's"
        if "run" in words:
            self._run_once(words[words.index("--name") + 1], project)
            return
        for service in [word for word in words[words.index("up") :] if word in override["services"]]:
            name = f"{project}-{service}-1"
            if "--force-recreate" in words and name in self.containers:
                self.act(f"remove {name}")
                del self.containers[name]
            if name not in self.containers:
                self.act(f"create {name}")
                joined = tuple(network["name"] for network in override["networks"].values())
                self.containers[name] = self._container(name, project, service, override["services"][service], joined)
            if "--no-start" not in words and not self.containers[name].seen.running:
                self.start(name)

    def start(self, name: str) -> None:
        self.act(f"start {name}")
        entry = self.containers[name]
        entry.seen, entry.stopped = replace(entry.seen, status="running", health="healthy"), False

    def _container(
        self, name: str, project: str, service: str, override: Mapping[str, Any], joined: tuple[str, ...] = ()
    ) -> Fakes:
        published = tuple(int(port["published"]) for port in override.get("ports", ()))
        seen = Container(
            id=name,
            name=name,
            service=service,
            status="created",
            health="none",
            exit_code=0,
            restarts=0,
            started_at="",
            image=override["image"],
            cpu_shares=override.get("cpu_shares", 0),
            labels=override.get("labels", {}),
            networks=joined,
            ports=published,
            grace=10,
        )
        return Fakes(seen, project)

    def _run_once(self, name: str, project: str) -> None:
        assert name not in self.containers, "a one-off container of before is in the way"
        self.act(f"run {name}")
        self.containers[name] = self._container(name, project, "once", {"image": "once"})
        self.containers[name].one_off = True
        self.act(f"end {name}")
        del self.containers[name]


class FakeDaemon:
    """The Engine of the world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.client = self

    def info(self) -> dict[str, str]:
        return {"DockerRootDir": str(self.world.root)}

    def containers(self, project: str, *, one_off: bool = False) -> list[Container]:
        entries = self.world.containers.values()
        return [entry.seen for entry in entries if entry.project == project and entry.one_off == one_off]

    def memory(self, _containers: Sequence[Container]) -> dict[str, int]:
        return {}

    def volumes(self, _project: str) -> set[str]:
        return set()

    def volume_users(self, _volume: str) -> dict[str, str]:
        return {}

    def remove_volumes(self, names: set[str]) -> None:
        assert not names

    def logs(self, _identifier: str, _lines: int) -> str:
        return ""

    def start(self, containers: Sequence[Container]) -> None:
        for entry in containers:
            self.world.start(entry.name)

    def stop(self, containers: Sequence[Container]) -> None:
        for entry in containers:
            self.world.act(f"stop {entry.name}")
            fake = self.world.containers[entry.name]
            fake.seen, fake.stopped = replace(fake.seen, status="exited"), True

    def remove(self, containers: Sequence[Container]) -> None:
        self.stop([entry for entry in containers if entry.running])
        for entry in containers:
            self.world.act(f"remove {entry.name}")
            del self.world.containers[entry.name]

    def networks(self, project: str) -> list[Any]:
        return [
            type("Network", (), {"name": name, "attrs": {"Labels": labels}})
            for name, labels in self.world.networks.items()
            if name.startswith(f"{project}_")
        ]

    def remove_networks(self, project: str, keep: Mapping[str, Collection[str]] | None = None) -> None:
        members = [e for e in self.world.containers.values() if e.project == project]
        assert not members, f"{project} has containers when its networks go"
        for network in self.networks(project):
            stay = (keep or {}).get(network.name)
            for entry in self.world.containers.values():
                if network.name in entry.seen.networks and entry.seen.id not in (stay or ()):
                    self.world.act(f"disconnect {entry.seen.name} from {network.name}")
                    left = tuple(name for name in entry.seen.networks if name != network.name)
                    entry.seen = replace(entry.seen, networks=left)
            if stay is None:
                self.world.act(f"remove network {network.name}")
                del self.world.networks[network.name]

    def set_cpu_shares(self, entry: Container, shares: int) -> None:
        self.world.act(f"cpu of {entry.name}")
        fake = self.world.containers[entry.name]
        fake.seen = replace(fake.seen, cpu_shares=shares)

    def connect(self, network: str, entry: Container, alias: str) -> bool:
        if network in entry.networks:
            return False
        self.world.act(f"connect {alias} to {network}")
        fake = self.world.containers[entry.name]
        fake.seen = replace(fake.seen, networks=(*fake.seen.networks, network))
        return True


def model(_text: str, values: Mapping[str, str], networks: Mapping[str, Any] | None = None) -> Model:
    """Every service is on all of the networks."""
    networks = networks or {"back": {}}
    services = {
        name: {**json.loads(json.dumps(service)), "image": f"{name}:{values['RELEASE']}", "networks": {**networks}}
        for name, service in SERVICES.items()
    }
    services["postgres"]["image"] = "postgres:17"
    return Model({"name": STACK, "services": services, "networks": networks, "volumes": {}})


def request(release: str, **more: Any) -> dict[str, Any]:
    return {
        "stack": STACK,
        "domain": "shop.test",
        "compose": "services: {}",
        "release": release,
        "data_services": ["postgres"],
        "exclusive_services": [WORKER],
        "migrate": {"service": "api", "command": ["migrate"]},
        "routes": [
            {"name": "web", "service": "web", "port": 3000, "health": "/health"},
            # A path that changes with the release, so that every release changes Nginx's files.
            {"name": "api", "service": "api", "port": 8080, "health": "/health", "path": f"/api-{release}"},
        ],
        "observe": 0,
        "drain_http": 0,
        "drain_websocket": 0,
        "min_free_disk_mb": 0,
        "min_free_memory_mb": 0,
        "lock_wait": 0,
        "retain": 2,
        "requested_by": "a test",
        **more,
    }


def make(root: Path, patch: pytest.MonkeyPatch) -> World:
    """A bare host, and the engine at work on it."""
    world = World(root)
    places = {"stacks": root / "srv", "nginx_stacks": root / "nginx"}
    for module in (engine, commands):
        patch.setattr(module, "StackPaths", lambda stack: paths.StackPaths(stack, **places))
    patch.setattr(host, "PORTS_LOCK", root / "ports.lock")
    patch.setattr(host, "Daemon", lambda: FakeDaemon(world))
    patch.setattr(host, "listening", set)
    patch.setattr(compose, "version", lambda: "2.30.0")
    patch.setattr(compose, "call", world.call)
    patch.setattr(compose, "read_model", lambda _stack, _directory, text, values: model(text, values, world.asked))
    patch.setattr(images, "resolve_all", lambda _daemon, asked: {name: f"{tag}@digest" for name, tag in asked.items()})
    patch.setattr(images, "pull", lambda _daemon, _images, _emitter: [])
    patch.setattr(images, "with_health_check", lambda _daemon, _images: set())
    patch.setattr(images, "remove", lambda _daemon, reference: world.act(f"remove image {reference}"))
    patch.setattr(capacity, "refuse_little_disk", lambda *_arguments: None)
    patch.setattr(keepers, "sync", lambda _daemon, _stack, _references: world.act("hold images"))
    patch.setattr(edge, "run", world.run)
    patch.setattr(edge, "fetch", world.fetch)
    patch.setattr(edge, "READ_BACK_SECONDS", 0)
    patch.setattr(edge, "CLOSING_SECONDS", 0)
    patch.setattr(nginx, "CLOSING", root / "closing")
    patch.setattr(health, "ask", lambda port, _route, _domain: health.Answer(str(port), 200, {}, "", ""))
    patch.setattr(health, "PROBE_PAUSE", 0)
    patch.setattr(drain, "count", lambda _ports: 0)
    patch.setattr(drain, "QUIET_SECONDS", 0)
    patch.setattr(os, "fsync", lambda _descriptor: None)
    for module, names in (
        (store, ("write_atomic", "write_json", "remove")),
        (edge, ("write_atomic", "touch", "remove")),
        (audit, ("append_line", "write_json")),
        (lock, ("write_json",)),
    ):
        for name in names:
            patch.setattr(module, name, acting(world, getattr(files, name)), raising=False)
    patch.setattr(store.shutil, "rmtree", lambda place: remove_tree(world, Path(place)))
    return world


def acting(world: World, function: Callable[..., Any]) -> Callable[..., Any]:
    def act(path: Path, *arguments: Any, **options: Any) -> Any:
        world.act(f"{function.__name__} {Path(path).name}")
        return function(path, *arguments, **options)

    return act


def remove_tree(world: World, place: Path) -> None:
    """File by file, each of which may be the last one before the end."""
    for entry in sorted(place.iterdir()):
        world.act(f"unlink {entry.name}")
        entry.unlink()
    place.rmdir()
