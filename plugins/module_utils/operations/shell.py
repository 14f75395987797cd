# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`slipway exec`: a command in a running container of the release that serves."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from ..common.errors import SlipwayError
from ..release.daemon import Container
from ..release.host import Host
from . import selection

DEFAULT_COMMAND = ("sh",)


def pick(entries: Sequence[Container], service: str, replica: int) -> Container:
    """The replica's container, which has to run."""
    wanted = [entry for entry in entries if entry.name.endswith(f"-{replica}")]
    if not wanted:
        raise SlipwayError(
            f"The service {service} has no replica {replica}.", hint=f"It has {len(entries)}; leave --replica out."
        )
    if not wanted[0].running:
        raise SlipwayError(
            f"The container {wanted[0].name} is {wanted[0].status}, so nothing can be run in it.",
            hint="Start a one-off container with playbooks/run.yml, or read why it ended with slipway logs.",
        )
    return wanted[0]


def argv(container: str, command: Sequence[str], *, terminal: bool, user: str = "") -> list[str]:
    options = ["--interactive", *(["--tty"] if terminal else []), *(["--user", user] if user else [])]
    return ["docker", "exec", *options, container, *(command or DEFAULT_COMMAND)]


def run(host: Host, choice: selection.Choice, replica: int, command: Sequence[str], user: str) -> int:
    """Becomes the command: terminal, signals and exit status are its own."""
    entry = pick(selection.containers(host, choice), choice.services[0], replica)
    terminal = sys.stdin.isatty() and sys.stdout.isatty()
    words = argv(entry.id, command, terminal=terminal, user=user)
    os.execvp(words[0], words)
