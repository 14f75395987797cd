# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Containers around a restore: which ones use a folder, stopped while it is exchanged, then started again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..common.errors import SlipwayError
from ..common.require import load
from ..release.daemon import PROJECT

SECONDS = 300


@contextmanager
def engine() -> Iterator[Any]:
    """The Docker client; what the daemon refuses becomes a sentence."""
    docker = load("docker", "python3-docker")
    try:
        client = docker.from_env(timeout=SECONDS)
        try:
            yield client
        finally:
            client.close()
    except docker.errors.DockerException as error:
        raise SlipwayError(
            f"The Docker Engine refuses or does not answer: {error}.", hint="systemctl status docker"
        ) from None


def image_of(container: str) -> str:
    """The image by the name that the container was made with."""
    with engine() as client:
        return str(client.containers.get(container).attrs["Config"]["Image"])


def using(client: Any, places: Sequence[Path]) -> list[Any]:
    """The running containers that see any of these folders; those of data services last."""
    wanted = [place.resolve() for place in places]
    found = []
    for container in client.containers.list(ignore_removed=True):
        sources = [Path(mount["Source"]).resolve() for mount in container.attrs["Mounts"] if mount.get("Source")]
        # One that sees a folder above (a monitor with the whole host, say) finds what is exchanged by its name.
        if any(source == place or place in source.parents for source in sources for place in wanted):
            found.append(container)
    return sorted(found, key=lambda one: (str(one.labels.get(PROJECT, "")).endswith("-data"), one.name))


@contextmanager
def stopped(containers: Sequence[Any]) -> Iterator[None]:
    """In this order they stop, in the opposite one they start."""
    try:
        for container in containers:
            container.stop()
        yield
    finally:
        _start(list(reversed(containers)))


def _start(containers: Sequence[Any]) -> None:
    """All of them; one that does not start keeps no other one down."""
    docker = load("docker", "python3-docker")
    failed = []
    for container in containers:
        try:
            container.start()
        except docker.errors.APIError as error:
            failed.append(f"{container.name} ({error.explanation})")
    if failed:
        raise SlipwayError(
            f"What was stopped does not start again: {', '.join(failed)}.", hint="Look at it with: slipway status"
        )
