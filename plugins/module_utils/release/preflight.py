# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What must be true of the host before a release starts; nothing is changed by looking."""

from __future__ import annotations

import shutil
from pathlib import Path

from ..common.errors import SlipwayError
from . import compose, edge
from .host import Host
from .record import Record
from .spec import Settings
from .state import State

MEGABYTE = 1024 * 1024


def check(host: Host, release: Record, settings: Settings, current: State) -> None:
    compose.refuse_old(compose.version())
    _disk(host, settings)
    refuse_little_memory(available_memory_mb(), settings.min_free_memory_mb)
    if release.spec.routes:
        edge.check()
    serving = host.serving(current)
    if serving:
        edge.read_back(serving.record.spec.hosts, serving.slot, serving.record.number)


def _disk(host: Host, settings: Settings) -> None:
    place = Path(host.daemon.client.info().get("DockerRootDir") or "/var/lib/docker")
    for directory in (place, host.paths.root):
        free = shutil.disk_usage(directory).free // MEGABYTE
        if free < settings.min_free_disk_mb:
            raise SlipwayError(
                f"Only {free} MB are free below {directory}, {settings.min_free_disk_mb} MB are asked for.",
                hint="Free space (docker system df, docker image prune -a), or lower stack_min_free_disk_mb.",
            )


def available_memory_mb() -> int:
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        name, _colon, rest = line.partition(":")
        if name == "MemAvailable":
            return int(rest.split()[0]) // 1024
    return 0


def refuse_little_memory(available: int, wanted: int) -> None:
    """While a release is under way both slots run."""
    if available < wanted:
        raise SlipwayError(
            f"Only {available} MB of memory are available, {wanted} MB are asked for: two slots run side by side.",
            hint="Stop something, add memory or swap, or lower stack_min_free_memory_mb.",
        )
