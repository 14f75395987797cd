# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which folders of the host hold what a stack cannot make again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..common import validate
from ..common.errors import SlipwayError
from ..common.require import load
from ..release.daemon import PROJECT
from ..release.paths import StackPaths

FILES = "project"
DATA_PROJECTS = ("blue", "green", "data")


def folders(stack: str, settings: Mapping[str, Any]) -> dict[str, str]:
    """What is named in the configuration, or all volumes but those of services that have a backup of their own."""
    docker = load("docker", "python3-docker")
    try:
        client = docker.from_env()
        try:
            found = _volumes(client, stack, set(settings.get("without_services") or ()))
        finally:
            client.close()
    except docker.errors.DockerException as error:
        raise SlipwayError(f"The Docker Engine does not answer: {error}.", hint="systemctl status docker") from None
    places = {f"volume-{name}": place for name, place in sorted(found.items())}
    project = StackPaths(stack).files
    if project.is_dir():
        places[FILES] = str(project)
    for folder in settings.get("folders") or ():
        places[f"folder-{validate.slug(str(folder['name']))}"] = str(folder["path"])
    return places


def _volumes(client: Any, stack: str, without: set[str]) -> dict[str, str]:
    """Named volumes that containers of the stack use -> their folders on this host."""
    projects = {StackPaths(stack).project(slot) for slot in DATA_PROJECTS}
    used: set[str] = set()
    covered: set[str] = set()
    for container in client.containers.list(all=True, ignore_removed=True):
        if container.labels.get(PROJECT) not in projects:
            continue
        service = container.labels.get("com.docker.compose.service", "")
        named = {mount["Name"] for mount in container.attrs["Mounts"] if mount.get("Type") == "volume"}
        (covered if service in without else used).update(named)
    inspected = {name: client.volumes.get(name) for name in used - covered}
    return {
        name: str(volume.attrs["Mountpoint"])
        for name, volume in inspected.items()
        # An anonymous volume goes with its container; one of another driver is somewhere else.
        if volume.attrs["Driver"] == "local" and "com.docker.volume.anonymous" not in (volume.attrs.get("Labels") or {})
    }
