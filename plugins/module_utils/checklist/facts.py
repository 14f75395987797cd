# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the checks are told: what was asked for, what the release did, and the host as it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from ..common.errors import SlipwayError
from ..common.events import Emitter
from ..release.host import Host, Serving
from ..release.paths import StackPaths
from ..release.state import State


@dataclass(frozen=True)
class Asked:
    """The deployment that the list is about. Of values only the length is known."""

    stack: str
    release: str
    env: Mapping[str, int] = field(default_factory=dict)
    secrets: Mapping[str, int] = field(default_factory=dict)
    database: Mapping[str, Any] = field(default_factory=dict)
    phases: Sequence[Mapping[str, Any]] = ()  # of the release, once there was one
    released: bool = False


class Facts:
    """The host is looked at only for what a check asks for."""

    def __init__(self, asked: Asked) -> None:
        self.asked = asked

    @cached_property
    def host(self) -> Host:
        return Host(StackPaths(self.asked.stack), Emitter.null())

    @cached_property
    def state(self) -> State:
        return self.host.store.state()

    @cached_property
    def serving(self) -> Serving:
        found = self.host.serving(self.state)
        if found is None:
            raise SlipwayError(f"No release of {self.asked.stack} serves on this host.")
        return found
