# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Volumes that two stacks of one host would use: two servers on one volume destroy it."""

from __future__ import annotations

from ..common.errors import SlipwayError
from .daemon import Daemon
from .model import Model
from .paths import DATA, SLOTS, StackPaths


def refuse(daemon: Daemon, paths: StackPaths, model: Model) -> None:
    """A volume with a fixed name is that of every stack with the Compose file. An external one is shared on purpose."""
    for key, volume in model.volumes.items():
        name = str(volume.get("name") or "")
        if volume.get("external") or not name or name == f"{paths.stack}_{key}":
            continue
        for container, project in daemon.volume_users(name).items():
            if stack := _other_stack(paths, project):
                raise SlipwayError(
                    f"The volume {name} is that of the stack {stack}: its container {container} uses it.",
                    hint=f"Remove name: {name} from the volume {key} in the Compose file: then each stack has its own.",
                )


def _other_stack(paths: StackPaths, project: str) -> str:
    """The stack of this host that has the project, unless it is this one."""
    stack, _dash, slot = project.rpartition("-")
    known = slot in (*SLOTS, DATA) and StackPaths(stack, paths.stacks).state.exists()
    return stack if known and stack != paths.stack else ""
