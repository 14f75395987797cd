# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where everything of a stack lies on the host."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

STACKS = Path("/srv")
NGINX = Path("/etc/nginx/slipway/stacks")
PORTS_LOCK = Path("/var/lib/slipway/ports.lock")
SLOTS = ("blue", "green")
DATA = "data"


@dataclass(frozen=True)
class StackPaths:
    """The files of one stack."""

    stack: str
    stacks: Path = STACKS
    nginx_stacks: Path = NGINX

    @property
    def root(self) -> Path:
        return self.stacks / self.stack

    @property
    def files(self) -> Path:
        """The project directory of all three Compose projects."""
        return self.root / "files"

    @property
    def releases(self) -> Path:
        return self.root / "releases"

    def release(self, number: int) -> Path:
        return self.releases / str(number)

    @property
    def state(self) -> Path:
        return self.root / "state.json"

    @property
    def audit(self) -> Path:
        return self.root / "releases.jsonl"

    @property
    def lock(self) -> Path:
        return self.root / "release.lock"

    @property
    def reserve(self) -> Path:
        return self.root / ".reserve"

    @property
    def key(self) -> Path:
        """The key of the secrets' fingerprints: with it nobody can guess a secret from what is stored or shown."""
        return self.releases / ".key"

    @property
    def flag(self) -> Path:
        """Present: green serves. Absent: blue serves."""
        return self.root / "slot.green"

    @property
    def maintenance(self) -> Path:
        return self.root / "maintenance"

    @property
    def pages(self) -> Path:
        return self.root / "pages"

    @property
    def data(self) -> Path:
        """The definitions that the data services run with."""
        return self.root / "data"

    @property
    def static(self) -> Path:
        """The files that Nginx itself serves, by slot and route."""
        return self.root / "static"

    def slot_text(self, slot: str) -> Path:
        return self.root / "slots" / slot

    @property
    def loaded(self) -> Path:
        """What Nginx answers with when it is asked which configuration it has loaded; the header says which."""
        return self.root / "slots" / "config"

    @property
    def nginx(self) -> Path:
        return self.nginx_stacks / self.stack

    def project(self, slot: str) -> str:
        return f"{self.stack}-{slot}"

    def container(self, data_service: str) -> str:
        """A data service has one container, and Compose calls it so."""
        return f"{self.project(DATA)}-{data_service}-1"


def other(slot: str) -> str:
    return SLOTS[1 - SLOTS.index(slot)]
