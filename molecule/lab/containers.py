# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers of the lab: one way to see, start and remove them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from settings import LABEL, NETWORK
from shell import docker, run


def inspect(name: str) -> dict[str, Any] | None:
    result = run(["docker", "container", "inspect", name], check=False)
    if result.returncode != 0:
        return None
    described: list[dict[str, Any]] = json.loads(result.stdout)
    return described[0]


def running(name: str) -> bool:
    seen = inspect(name)
    return bool(seen and seen["State"]["Running"])


def remove(name: str) -> None:
    docker("rm", "--force", "--volumes", name, check=False)


def start(
    name: str, address: str, image: str, options: Sequence[str], command: Sequence[str], *, inputs: str = ""
) -> bool:
    """Make a container, or make it anew when what it is made from has changed. True if it is new."""
    digest = hashlib.sha256(json.dumps([address, image, [*options], [*command], inputs]).encode()).hexdigest()[:16]
    seen = inspect(name)
    if seen and seen["Config"]["Labels"].get(f"{LABEL}.inputs") == digest:
        if not seen["State"]["Running"]:
            docker("start", name)
        return False
    remove(name)
    docker(
        *["run", "--detach", "--name", name, "--label", LABEL, "--label", f"{LABEL}.inputs={digest}"],
        *["--network", NETWORK, "--ip", address, *options, image, *command],
    )
    return True


def all_names() -> list[str]:
    return docker("ps", "--all", "--filter", f"label={LABEL}", "--format", "{{.Names}}").split()


def all_volumes() -> list[str]:
    return docker("volume", "ls", "--filter", f"label={LABEL}", "--format", "{{.Name}}").split()


def volume(name: str) -> None:
    docker("volume", "create", "--label", LABEL, name)
