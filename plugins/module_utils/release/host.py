# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One stack on this host, with everything that acts on it: what the pipeline, the recovery and the boot unit share."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..common.events import Emitter
from ..common.files import read_json
from ..common.lock import FileLock
from ..common.process import run
from . import compose, cpu, nginx, override, ports, state
from .daemon import Daemon
from .model import Model
from .paths import DATA, PORTS_LOCK, SLOTS, StackPaths, other
from .record import Record
from .slots import Slots
from .spec import Spec
from .state import State
from .store import Store

LISTENING = re.compile(r"\S*:(\d+)$")
PORTS_LOCK_SECONDS = 30


@dataclass(frozen=True)
class Serving:
    """The release that serves, and where."""

    record: Record
    slot: str


class Host:
    """The edges of a stack: files, Docker, Nginx."""

    def __init__(self, paths: StackPaths, emitter: Emitter) -> None:
        self.paths = paths
        self.emitter = emitter
        self.store = Store(paths)
        self.daemon = Daemon()
        self.slots = Slots(self.daemon, paths)

    def lock(self, what: str, wait: float, by: str = "") -> FileLock:
        return FileLock(self.paths.lock, wait=wait, what=what, holder={"by": by})

    def serving(self, current: State) -> Serving | None:
        active = current.active
        return Serving(self.store.read(active.release), active.slot) if active else None

    def nginx_files(self, spec: Spec, current: State) -> dict[Path, str]:
        return nginx.render(spec, self.paths, state.upstreams(current))

    def foreign_ports(self, slot: str) -> set[int]:
        """Ports that a block of this slot must not use: of other stacks, and of whatever listens and is not ours."""
        own = {port for name in (*SLOTS, DATA) for port in self.published(name, running=True)}
        return (listening() - own) | other_stacks_ports(self.paths) | set(self.published(other(slot)))

    def published(self, slot: str, *, running: bool = False) -> set[int]:
        """Ports of a slot's containers. One that is stopped has its ports on paper only: another may listen there."""
        found = self.daemon.containers(self.paths.project(slot))
        return {port for entry in found if entry.running or not running for port in entry.ports}

    def ports_lock(self) -> FileLock:
        return FileLock(PORTS_LOCK, wait=PORTS_LOCK_SECONDS, what=f"port allocation of {self.paths.stack}")


def overrides(
    release: Record, model: Model, slot: str, blocks: ports.Blocks, paths: StackPaths, boot_cpu_shares: int
) -> dict[str, Any]:
    """The generated Compose files of a release, by the name in `override.<name>.json`."""
    endpoints = {route.endpoint for route in release.spec.routes}
    in_slot = {endpoint: list(both[slot]) for endpoint, both in blocks.items() if endpoint in endpoints}
    project = paths.project(slot)
    life = release.groups
    document = override.for_slot(
        release.spec, model, life, slot, release.number, in_slot, release.images, project, compose.version()
    )
    made = {slot: cpu.bound(document, model, (*life.slot, *life.one_shot), boot_cpu_shares)}
    if release.groups.data:
        made[DATA] = override.for_data(
            release.spec, model, release.groups, release.number, release.images, paths.project(DATA)
        )
    return made


def upstreams(spec: Spec, blocks: ports.Blocks, slot: str) -> dict[str, list[int]]:
    """Route -> ports of the slot."""
    return {route.name: list(blocks[route.endpoint][slot]) for route in spec.routes}


def listening() -> set[int]:
    """TCP ports that something on this host listens on."""
    lines = run(["ss", "-Hltn"], timeout=10).stdout.splitlines()
    return parse_listening(lines)


def parse_listening(lines: list[str]) -> set[int]:
    """The ports in what `ss -Hltn` printed."""
    found = set()
    for line in lines:
        words = line.split()
        match = LISTENING.match(words[3]) if len(words) > 3 else None
        if match:
            found.add(int(match.group(1)))
    return found


def other_stacks_ports(paths: StackPaths) -> set[int]:
    """Ports that the other stacks of this host have been given."""
    found: set[int] = set()
    for path in paths.stacks.glob("*/state.json"):
        if path.parent.name != paths.stack:
            blocks: Mapping[str, Mapping[str, list[int]]] = (read_json(path, {}) or {}).get("ports", {})
            found |= ports.in_use(blocks)
    return found
