# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Compose projects of a stack: two slots for the application, one for the data."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

from ..common.errors import SlipwayError
from ..common.process import CommandError, run, tail
from . import compose, definitions, health, networks, static
from .daemon import Daemon
from .paths import DATA, StackPaths
from .record import Record
from .spec import Command

COMPOSE_SECONDS = 300
CORRECT = "Correct the cause and release again; a port that is taken is not asked for again."
# In the words of the Engine's own proxy, of its port allocator, and of `ss`.
PORT_TAKEN = re.compile(r"127\.0\.0\.1:(\d+)[^\n]*(?:address already in use|port is already allocated)")
LISTENER = re.compile(r'users:\(\("([^"]+)",pid=(\d+)')


class Slots:
    """Starts, stops and removes what belongs to a slot."""

    def __init__(self, daemon: Daemon, paths: StackPaths) -> None:
        self.daemon = daemon
        self.paths = paths

    def project(self, release: Record, slot: str) -> compose.Project:
        place = self.paths.release(release.number)
        files = (str(place / "compose.yml"), str(place / f"override.{slot}.json"))
        return compose.Project(self.paths.project(slot), str(self.paths.files), files)

    def create(self, release: Record, slot: str, values: Mapping[str, str]) -> None:
        """Containers and networks, not started; the data services join the networks. Files that Nginx serves."""
        static.place(self.paths, release, slot)
        services = [*release.starting, *release.groups.exclusive]
        if services:
            _compose(compose.create(self.project(release, slot), services, release.scale), values)
        self.connect_data(release, slot)

    def connect_data(self, release: Record, slot: str) -> None:
        networks.connect_data(self.daemon, self.paths, slot, release.data_networks)

    def start(
        self, release: Record, slot: str, values: Mapping[str, str], deadline: float, *, recreate: bool = True
    ) -> None:
        """Wave after wave, each ready before the next begins.

        Without `recreate` what is missing is made; with it `create` has just made everything as it has to be.
        """
        waves = release.waves if recreate else _without(release.waves, release.groups.one_shot)
        for wave in waves:
            if recreate:
                self._start_created(slot, wave)
            else:
                _compose(compose.up(self.project(release, slot), wave, release.scale), values)
            self.wait(release, slot, wave, deadline)

    def _start_created(self, slot: str, services: Sequence[str]) -> None:
        """By the Engine itself: Compose would read and compare everything again for each wave."""
        found = self.daemon.containers(self.paths.project(slot))
        try:
            self.daemon.start([entry for entry in found if entry.service in services and not entry.running])
        except SlipwayError as error:
            raise SlipwayError(f"{error.message}{_who_listens(error.message)}", hint=CORRECT) from error

    def start_exclusive(self, release: Record, slot: str, values: Mapping[str, str], deadline: float) -> None:
        names = release.groups.exclusive
        if names:
            _compose(compose.up(self.project(release, slot), names, {}), values)
            self.wait(release, slot, names, deadline)

    def start_data(self, release: Record, values: Mapping[str, str], deadline: float) -> None:
        """What is missing is created, what is stopped is started, what runs is left alone."""
        names = release.groups.data
        known = [found for name in names if (found := definitions.read(self.paths, name))]
        own = [found.service for found in known]
        new = [name for name in names if name not in own]
        if known:
            _compose(compose.up(definitions.project(self.paths, known), own, {}), {})
        if new:
            _compose(compose.up(self.project(release, DATA), new, {}), values)
        self._wait_data(names, deadline)

    def replace_data(self, definition: definitions.Definition, deadline: float) -> None:
        """The service runs with this definition from now on; its volumes stay as they are."""
        name = definition.service
        _compose(compose.replace(definitions.project(self.paths, [definition]), name), {})
        self._wait_data([name], deadline)

    def _wait_data(self, names: Sequence[str], deadline: float) -> None:
        """By the health checks that the containers were made with, which may not be those of the release."""
        project = self.paths.project(DATA)
        checked = [entry.service for entry in self.daemon.containers(project) if entry.health != "none"]
        health.wait(self.daemon, project, dict.fromkeys(names, 1), checked, (), deadline)

    def wait(self, release: Record, slot: str, services: Sequence[str], deadline: float) -> None:
        expected = {name: release.scale.get(name, 1) for name in services}
        health.wait(self.daemon, self.paths.project(slot), expected, release.checked, release.groups.one_shot, deadline)

    def run(self, release: Record, slot: str, command: Command, what: str, values: Mapping[str, str]) -> None:
        """A one-off command; its container never outlives the call."""
        name = f"{self.paths.project(slot)}-{what}"
        argv = compose.run_once(self.project(release, slot), command.service, command.argv, name)
        self.remove_one_off(slot)
        try:
            compose.call(argv, values, command.timeout)
        except CommandError as error:
            raise self._failed(slot, command, what, error) from error
        finally:
            self.remove_one_off(slot)

    def _failed(self, slot: str, command: Command, what: str, error: CommandError) -> SlipwayError:
        """With what the command printed, which for one that was stopped only its container knows."""
        if error.result:
            output = compose.without_warnings(f"{error.result.stdout}\n{error.result.stderr}")
            how = f"failed with status {error.result.rc}"
        else:
            found = self.daemon.containers(self.paths.project(slot), one_off=True)
            output = "\n".join(self.daemon.logs(entry.id, health.LOG_LINES) for entry in found)
            how = f"did not end within {command.timeout} s and was stopped"
        said = tail(output, 5) or "it printed nothing"
        return SlipwayError(
            f"The command {what} of service {command.service} {how}: {said}",
            hint="Correct it (or raise its timeout) and release again.",
            details={"output": tail(output, health.LOG_LINES).splitlines()},
        )

    def remove_one_off(self, slot: str) -> None:
        self.daemon.remove(self.daemon.containers(self.paths.project(slot), one_off=True))

    def stop(self, slot: str, services: Sequence[str] | None = None) -> int:
        """SIGTERM to what runs (all, or these services); the containers are kept. Returns how many ran."""
        found = [
            entry
            for entry in self.daemon.containers(self.paths.project(slot))
            if entry.status in ("running", "restarting", "paused") and (services is None or entry.service in services)
        ]
        self.daemon.stop(found)
        return len(found)

    def make_room(self, release: Record, slot: str, override: Mapping[str, Any], held: int | None) -> None:
        """What another release left in the slot goes; its networks stay where they are as this one wants them."""
        keep = networks.fitting(self.daemon, self.paths, slot, override, release.data_networks)
        found = {network.name for network in self.daemon.networks(self.paths.project(slot))}
        if held != release.number or found - set(keep):
            self.remove_containers(slot)
            self.daemon.remove_networks(self.paths.project(slot), keep)

    def remove(self, slot: str) -> None:
        """Containers and networks of a slot; volumes are never touched."""
        self.remove_containers(slot)
        self.daemon.remove_networks(self.paths.project(slot))

    def remove_containers(self, slot: str) -> None:
        if slot == DATA:
            raise ValueError("the data project is never removed by a release")
        self.remove_one_off(slot)
        self.daemon.remove(self.daemon.containers(self.paths.project(slot)))

    def is_healthy(self, release: Record, slot: str) -> bool:
        try:
            self.wait(release, slot, release.groups.slot, time.monotonic())
        except SlipwayError:
            return False
        return True


def _without(waves: Sequence[Sequence[str]], names: Sequence[str]) -> list[list[str]]:
    left = [[name for name in wave if name not in names] for wave in waves]
    return [wave for wave in left if wave]


def _compose(argv: Sequence[str], values: Mapping[str, str]) -> None:
    try:
        compose.call(argv, values, COMPOSE_SECONDS)
    except CommandError as error:
        reason = tail(compose.without_warnings(error.result.stderr), 4) if error.result else error.message
        raise SlipwayError(
            f"Docker Compose could not start the containers: {reason}{_who_listens(reason)}",
            hint=CORRECT,
        ) from error


def _who_listens(reason: str) -> str:
    """The program that has the port which Docker complains about."""
    taken = PORT_TAKEN.search(reason)
    if not taken:
        return ""
    listener = run(["ss", "-Hltnp", f"sport = :{taken.group(1)}"], timeout=10, check=False).stdout
    owner = LISTENER.search(listener)
    return f" (port {taken.group(1)} belongs to {owner.group(1)}, pid {owner.group(2)})" if owner else ""
