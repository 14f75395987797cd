# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Containers whose users are others on the host: what they are given from the host has to belong to those."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..common.errors import SlipwayError
from .daemon import Daemon
from .model import Model

IDS = 65536
OPTION = "name=userns"


def first_id(daemon: Daemon) -> int | None:
    """The user of the host that root in a container is; None if it is root."""
    info = daemon.client.info()
    # The Engine keeps the data of remapped containers in a place that is called after their root.
    match = re.search(r"/(\d+)\.\d+$", str(info.get("DockerRootDir") or ""))
    return int(match[1]) if match and OPTION in (info.get("SecurityOptions") or ()) else None


def refuse(model: Model, first: int | None) -> None:
    """A file that a container cannot read would be found when it starts, and told in words that do not help."""
    if first is None:
        return
    for name, service in model.services.items():
        if service.get("userns_mode") == "host":
            continue
        for source in sources(model, service):
            try:
                found = Path(source).stat()
            except OSError:
                continue  # Compose tells what is missing
            if not usable(found, first):
                about = f"{source} (owner {found.st_uid}, mode {stat.S_IMODE(found.st_mode):04o})"
                raise SlipwayError(
                    f"The service {name} is given {about}, which its users cannot use: they are remapped on this host, "
                    f"and user 0 of a container is {first}.",
                    hint=f'Give it an owner from {first} on, such as owner: "{first}" in stack_files or '
                    "stack_directories, or let everybody read it, or set userns_mode: host for the service.",
                )


def sources(model: Model, service: Mapping[str, Any]) -> Iterator[str]:
    """What a service is given from the host's files."""
    for mount in service.get("volumes") or ():
        if mount.get("type") == "bind":
            yield str(mount.get("source"))
    for kind in ("configs", "secrets"):
        top = model.data.get(kind) or {}
        for use in service.get(kind) or ():
            if file := (top.get(use.get("source")) or {}).get("file"):
                yield str(file)


def usable(found: os.stat_result, first: int) -> bool:
    ours = range(first, first + IDS)
    if found.st_uid in ours or found.st_gid in ours:
        return True
    if stat.S_ISDIR(found.st_mode):
        # One with an owner of its own was meant to be written to.
        return found.st_uid == 0 and found.st_mode & 0o005 == 0o005
    return bool(found.st_mode & (0o002 if stat.S_ISSOCK(found.st_mode) else 0o004))
