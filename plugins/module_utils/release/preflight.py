# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What must be true of the host before a release starts; nothing is changed by looking."""

from __future__ import annotations

from collections.abc import Iterable

from ..common.errors import SlipwayError
from . import capacity, compose, edge
from .daemon import Container
from .host import Host, Serving
from .record import Record
from .spec import Settings
from .state import State

# In the names of containers of one-off commands that somebody started; those of a release are called otherwise.
COMMAND_MARK = "-run-"


def check(host: Host, release: Record, settings: Settings, current: State) -> None:
    compose.refuse_old(compose.version())
    refuse_running_commands(host.daemon.containers(host.paths.project(current.idle_slot), one_off=True))
    serving = host.serving(current)
    capacity.refuse_full_disk((capacity.docker_root(host.daemon), host.paths.root), settings.min_free_disk_mb)
    needed = _second_slot(host, release, serving) if serving else 0
    capacity.refuse_little_memory(capacity.available_memory_mb(), needed, settings.min_free_memory_mb)
    if release.spec.routes:
        edge.check()
    if serving:
        hosts = edge.with_site(serving.record.spec.hosts)
        edge.read_back(hosts, serving.slot, serving.record.number)


def refuse_running_commands(one_offs: Iterable[Container]) -> None:
    """A one-off command that was started from the release before the last still runs where this one has to go."""
    for entry in one_offs:
        if entry.running and COMMAND_MARK in entry.name:
            raise SlipwayError(
                f"The one-off command in {entry.name} has run since {entry.started_at[:19]}Z where this "
                "release has to go.",
                hint=f"Wait for it, or stop it with: docker stop {entry.name}",
            )


def _second_slot(host: Host, release: Record, serving: Serving) -> int:
    running = [entry for entry in host.daemon.containers(host.paths.project(serving.slot)) if entry.running]
    return capacity.second_slot_mb(running, host.daemon.memory(running), release.scale)
