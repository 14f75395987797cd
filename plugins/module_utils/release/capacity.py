# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Is there room for a release: disk for its images, memory for a second slot? Asked before anything starts."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..common.errors import SlipwayError
from ..common.process import CommandError, run
from . import images
from .daemon import Container, Daemon

MEGABYTE = 1024 * 1024
MANIFEST_SECONDS = 20
# A layer is on disk as it was downloaded and unpacked at once, and text unpacks to about three times its size.
UNPACKED = 4
MANIFESTS = ("SchemaV2Manifest", "OCIManifest")


def docker_root(daemon: Daemon) -> Path:
    return Path(daemon.client.info().get("DockerRootDir") or "/var/lib/docker")


def free_mb(directory: Path) -> int:
    return shutil.disk_usage(directory).free // MEGABYTE


def refuse_full_disk(directories: Iterable[Path], wanted: int) -> None:
    """What has to stay free below Docker's directory and the stack's own."""
    for directory in directories:
        free = free_mb(directory)
        if free < wanted:
            raise SlipwayError(
                f"Only {free} MB are free below {directory}, {wanted} MB are asked for.",
                hint="Free space (docker system df, docker image prune -a), or lower stack_min_free_disk_mb.",
            )


def refuse_little_disk(daemon: Daemon, resolved: Iterable[str], here: Iterable[str], wanted: int) -> None:
    """What the images that are not on this host yet need, as far as their registry tells their size.

    `here` are images that are: a new release mostly shares their layers, which are asked for only if it matters.
    """
    missing = [name for name in sorted(set(resolved)) if "@" in name and not images.is_local(daemon, name)]
    if not missing:
        return
    platform = daemon.client.version().get("Arch") or ""
    place = docker_root(daemon)
    free = free_mb(place)
    found = layers_of(missing, platform)
    if free < size_mb(found) + wanted:
        known = layers_of({name for name in here if "@" in name}, platform)
        found = {digest: size for digest, size in found.items() if digest not in known}
    refuse_too_big(place, free, size_mb(found), wanted)


def size_mb(layers_by_digest: Mapping[str, int]) -> int:
    return sum(layers_by_digest.values()) * UNPACKED // MEGABYTE


def refuse_too_big(place: Path, free: int, needed: int, wanted: int) -> None:
    if free < needed + wanted:
        raise SlipwayError(
            f"The images of this release need about {needed} MB to be downloaded and unpacked and {wanted} MB have to "
            f"stay free, but only {free} MB are free below {place}.",
            hint="Free space (docker system df, docker image prune -a), or lower stack_min_free_disk_mb.",
        )


def layers_of(references: Iterable[str], platform: str) -> dict[str, int]:
    """Digest -> bytes of every layer, as compressed in the registry; empty where the registry does not tell."""
    found: dict[str, int] = {}
    for reference in references:
        try:
            told = run(["docker", "manifest", "inspect", "--verbose", reference], timeout=MANIFEST_SECONDS).stdout
        except CommandError:
            continue
        found.update(layers(json.loads(told), platform))
    return found


def layers(manifests: Any, platform: str) -> dict[str, int]:
    """From what `docker manifest inspect --verbose` printed: one manifest, or one for each platform."""
    entries = manifests if isinstance(manifests, list) else [manifests]
    ours = [entry for entry in entries if _platform(entry) in ("", platform)]
    return {
        layer["digest"]: int(layer["size"])
        for entry in ours
        for kind in MANIFESTS
        for layer in (entry.get(kind) or {}).get("layers") or []
    }


def _platform(entry: Mapping[str, Any]) -> str:
    return str(((entry.get("Descriptor") or {}).get("platform") or {}).get("architecture") or "")


def available_memory_mb() -> int:
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        name, _colon, rest = line.partition(":")
        if name == "MemAvailable":
            return int(rest.split()[0]) // 1024
    return 0


def second_slot_mb(serving: Sequence[Container], used: Mapping[str, int], counts: Mapping[str, int]) -> int:
    """What the new slot will need: its services use what they use now, each container as much as its fellows."""
    needed = 0.0
    for service, count in counts.items():
        measured = [used[entry.name] for entry in serving if entry.service == service and used.get(entry.name)]
        needed += count * sum(measured) / len(measured) if measured else 0
    return int(needed) // MEGABYTE


def refuse_little_memory(available: int, needed: int, wanted: int) -> None:
    """While a release is under way both slots run."""
    if available < needed + wanted:
        slot = f"the new slot needs about {needed} MB beside the one that serves, and " if needed else ""
        raise SlipwayError(
            f"Only {available} MB of memory are available: {slot}{wanted} MB have to stay free.",
            hint="Stop something, add memory or swap, or lower stack_min_free_memory_mb.",
        )
