# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which containers of a stack are meant: those of the release that serves, unless somebody asks for others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..common import validate
from ..common.errors import SlipwayError
from ..common.events import Emitter
from ..release.daemon import Container
from ..release.host import Host
from ..release.paths import DATA, SLOTS, StackPaths
from ..release.state import NOTHING, State


@dataclass(frozen=True)
class Choice:
    """What a person asked for; empty means the release that serves, with the data services."""

    slot: str = ""
    release: str = ""
    services: tuple[str, ...] = ()

    @property
    def is_fixed(self) -> bool:
        return bool(self.slot or self.release)


def host_of(stack: str) -> Host:
    """The stack on this host, or a sentence."""
    paths = StackPaths(validate.stack_name(stack))
    if not paths.state.is_file():
        raise SlipwayError(f"There is no stack {stack} on this host.", hint="List them with: slipway status")
    return Host(paths, Emitter.null())


def slot_of(current: State, choice: Choice, names: Mapping[int, str]) -> str:
    """The slot that is meant; `names` are the releases' names by number."""
    if choice.slot:
        return choice.slot
    if choice.release:
        held = {name: slot.release for name, slot in current.slots.items() if slot.release != NOTHING}
        for name, number in sorted(held.items()):
            if choice.release in (str(number), names.get(number, "")):
                return name
        known = ", ".join(f"{names.get(number, '?')} (number {number})" for _slot, number in sorted(held.items()))
        raise SlipwayError(
            f"The release {choice.release} of {current.stack} has no containers on this host.",
            hint=f"These have: {known or 'none'}.",
        )
    if current.active is None:
        raise SlipwayError(
            f"No release of {current.stack} serves.",
            hint="Look at a release that did not come up with --slot blue or --slot green.",
        )
    return current.active.slot


def containers(host: Host, choice: Choice) -> list[Container]:
    """The containers that are meant, those of the data project last."""
    current = host.store.state()
    names = {release.number: release.name for release in host.store.all()} if choice.release else {}
    slot = slot_of(current, choice, names)
    found = host.daemon.containers(host.paths.project(slot))
    found += host.daemon.containers(host.paths.project(DATA))
    return only(found, choice.services, current.stack)


def only(found: Sequence[Container], services: Sequence[str], stack: str) -> list[Container]:
    """Those of these services; a service that has no container is an error that names those which have."""
    known = sorted({entry.service for entry in found})
    for service in services:
        if service not in known:
            raise SlipwayError(
                f"The stack {stack} has no container of a service {service} here.",
                hint=f"Services with containers: {', '.join(known) or 'none'}.",
            )
    return [entry for entry in found if not services or entry.service in services]


def label(entry: Container, stack: str) -> str:
    """The container without what all of the stack's containers have in common: `api-1`."""
    for project in (*SLOTS, DATA):
        prefix = f"{stack}-{project}-"
        if entry.name.startswith(prefix):
            return entry.name.removeprefix(prefix)
    return entry.name
