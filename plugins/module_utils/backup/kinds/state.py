# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What makes this server that server: releases with their secrets, Slipway's configuration, certificates.

Only ever encrypted: without a recipient there is no such backup.
"""

from __future__ import annotations

from pathlib import Path

from ...common.errors import SlipwayError
from ...release.paths import StackPaths
from ..spec import Spec
from .files import Files

STACK = "stack"
SHARED = {"configuration": Path("/etc/slipway"), "certificates": Path("/etc/letsencrypt")}


class State(Files):
    name = "state"

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        if not spec.encrypted:
            raise SlipwayError(
                f"The state of stack {spec.stack} holds its secrets, so it is backed up encrypted or not at all.",
                hint="Set backup_age_recipients to the public key that may read it (make one with age-keygen).",
            )
        self._paths = StackPaths(spec.stack)

    def folders(self) -> dict[str, str]:
        places = {STACK: self._paths.root, **SHARED}
        return {name: str(place) for name, place in places.items() if place.is_dir()}

    def excluded(self) -> dict[str, tuple[str, ...]]:
        """The project's files have a backup of their own; the reserve is room, not data."""
        left_out = (self._paths.files, self._paths.reserve)
        return {STACK: tuple(str(path.relative_to(self._paths.root)) for path in left_out)}

    def describe(self) -> str:
        return f"releases, secrets, configuration and certificates of {self.spec.stack}"
