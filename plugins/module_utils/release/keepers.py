# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Containers that never run: each holds the image of a kept release.

An image that is known by its digest alone is what `docker image prune` removes first, with `--all` every image that no
container has. A created container keeps its image through both.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

from . import images
from .daemon import Daemon
from .override import LABEL
from .record import Record

KEEPS = f"{LABEL}.keeps"
STACK = f"{LABEL}.keeper-of"


def wanted(releases: Iterable[Record]) -> set[str]:
    """The images of the application; those of the data services are held by the containers that run."""
    return {release.images[name] for release in releases for name in release.groups.application}


def sync(daemon: Daemon, stack: str, references: Iterable[str]) -> None:
    """Hold exactly these images, as far as they are on this host; those that were held and are not wanted go."""
    keep = set(references)
    held = {entry["Labels"][KEEPS]: entry["Id"] for entry in _keepers(daemon, stack)}
    for reference in sorted(set(held) - keep):
        daemon.client.api.remove_container(held[reference], v=True, force=True)
        images.remove(daemon, reference)
    for reference in sorted(keep - set(held)):
        if images.is_local(daemon, reference):
            _hold(daemon, stack, reference)


def held(daemon: Daemon, stack: str) -> list[str]:
    """The images that are held for a stack."""
    return sorted(entry["Labels"][KEEPS] for entry in _keepers(daemon, stack))


def _keepers(daemon: Daemon, stack: str) -> list[dict[str, Any]]:
    return list(daemon.client.api.containers(all=True, filters={"label": [f"{STACK}={stack}"]}))


def _hold(daemon: Daemon, stack: str, reference: str) -> None:
    api = daemon.client.api
    api.create_container(
        reference,
        command=["never-started"],
        name=name(stack, reference),
        labels={STACK: stack, KEEPS: reference},
        host_config=api.create_host_config(network_mode="none"),
    )


def name(stack: str, reference: str) -> str:
    return f"{stack}-keep-{hashlib.sha256(reference.encode()).hexdigest()[:12]}"
