# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The new slot boots with a small share of the CPU, so that visitors of the old one do not feel it.

A share is a weight, not a limit: a slot that boots on an idle host still gets all of it. What the team's file asks for
is kept in a label of each container, so that any later run can give it back without knowing the release.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from .daemon import Container, Daemon
from .model import Model
from .override import LABEL

WANTED = f"{LABEL}.cpu_shares"
# Docker's own default, which a file that asks for nothing means.
NORMAL = 1024
LEAST = 2


def bound(document: dict[str, Any], model: Model, services: Iterable[str], shares: int) -> dict[str, Any]:
    """The override of a slot with the small share in it; unchanged where the team asks for less, or with 0."""
    if shares <= 0:
        return document
    bounded = dict(document["services"])
    for name in services:
        wanted = int(model.services[name].get("cpu_shares") or NORMAL)
        if wanted > shares:
            service = bounded[name]
            labels = {**service["labels"], WANTED: str(wanted)}
            bounded[name] = {**service, "cpu_shares": max(shares, LEAST), "labels": labels}
    return {**document, "services": bounded}


def bounded(containers: Iterable[Container]) -> Iterator[tuple[Container, int]]:
    """Running containers that still have the small share, with the one that they should have."""
    for entry in containers:
        wanted = entry.labels.get(WANTED, "")
        if entry.running and wanted.isdigit() and entry.cpu_shares != int(wanted):
            yield entry, int(wanted)


def release(daemon: Daemon, project: str) -> int:
    """Give every running container of a project the share that the team's file asks for; return how many got it."""
    found = list(bounded(daemon.containers(project)))
    for entry, wanted in found:
        daemon.set_cpu_shares(entry, wanted)
    return len(found)
