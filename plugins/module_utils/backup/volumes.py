# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which folders of the host hold what a stack cannot make again."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..common.errors import SlipwayError
from ..release.daemon import PROJECT, SERVICE
from ..release.paths import DATA, SLOTS, StackPaths
from . import containers

FILES = "project"
# Docker names a volume so that nobody named; newer versions label it too.
ANONYMOUS = re.compile(r"[0-9a-f]{64}")
NAME = re.compile(r"[a-z0-9](?:[a-z0-9_-]{0,46}[a-z0-9])?")


def folders(stack: str, settings: Mapping[str, Any]) -> dict[str, str]:
    """The stack's volumes but those of services that have a backup of their own, its project files, named folders."""
    places = {f"volume-{name}": place for name, place in sorted(_found(stack, settings).items())}
    project = StackPaths(stack).files
    if project.is_dir():
        places[FILES] = str(project)
    for folder in settings.get("folders") or ():
        name, path = str(folder["name"]), str(folder["path"])
        if not NAME.fullmatch(name):
            raise SlipwayError(
                f"The folder name {name!r} is not allowed.",
                hint="Use 1 to 48 lower-case letters, digits, hyphens and underscores in backup_files_folders.",
            )
        _refuse_part_of(path, places)
        places[f"folder-{name}"] = path
    return places


def _refuse_part_of(path: str, places: Mapping[str, str]) -> None:
    """A folder inside another one would be stored twice, and restored into itself."""
    if not Path(path).is_absolute():
        raise SlipwayError(f"The folder {path!r} is no absolute path.", hint="Correct backup_files_folders.")
    real = Path(path).resolve()
    for name, place in places.items():
        other = Path(place).resolve()
        if real == other or real in other.parents or other in real.parents:
            raise SlipwayError(
                f"The folder {path} and {place} ({name}) lie in each other.",
                hint="Leave it out of backup_files_folders, or name the places below it one by one.",
            )


def _found(stack: str, settings: Mapping[str, Any]) -> dict[str, str]:
    with containers.engine() as client:
        return _volumes(client, stack, set(settings.get("without_services") or ()))


def _volumes(client: Any, stack: str, without: set[str]) -> dict[str, str]:
    """Named volumes that containers of the stack use -> their folders on this host."""
    projects = {StackPaths(stack).project(slot) for slot in (*SLOTS, DATA)}
    used: set[str] = set()
    covered: set[str] = set()
    for container in client.containers.list(all=True, ignore_removed=True):
        if container.labels.get(PROJECT) not in projects:
            continue
        named = {mount["Name"] for mount in container.attrs["Mounts"] if mount.get("Type") == "volume"}
        (covered if container.labels.get(SERVICE, "") in without else used).update(named)
    inspected = {name: client.volumes.get(name) for name in used - covered}
    return {
        name: str(volume.attrs["Mountpoint"])
        for name, volume in inspected.items()
        # An anonymous volume goes with its container; one of another driver is somewhere else.
        if volume.attrs["Driver"] == "local" and not ANONYMOUS.fullmatch(name)
    }
