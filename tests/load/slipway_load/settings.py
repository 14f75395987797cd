# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the visitors do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# What counts as a good answer: status by kind of request.
GOOD = {"get": 200, "page": 200, "post": 201, "slow": 200, "handshake": 101}
# Going away, and service restart: how a server says goodbye to a WebSocket.
GOOD_CLOSES = (1001, 1012)


@dataclass(frozen=True)
class Target:
    """One kind of request."""

    kind: str
    host: str
    path: str
    method: str = "GET"


@dataclass(frozen=True)
class Settings:
    """A fixed rate, whatever the answers: the due times never wait for a slow server (open loop)."""

    address: str
    zone: str
    ca: str
    port: int = 443
    rate: float = 100.0
    # One in ten requests is a POST that writes to the database; the others read from it or ask for a page.
    posts: bool = True
    # Every so many requests one comes over a connection of its own; the others share connections as browsers do.
    fresh_every: int = 10
    websockets: int = 0
    ping_every: float = 1.0
    # So many requests a second that take three seconds.
    slow: float = 0.0
    slow_seconds: float = 3.0
    # So many new WebSockets a second, which are greeted and leave.
    handshakes: float = 0.0
    timeout: float = 10.0
    reads: tuple[Target, ...] = field(default=())

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> Settings:
        return cls(**{**data, "reads": tuple(Target(**entry) for entry in data["reads"])})

    def cycle(self) -> list[Target]:
        """Ten requests; the rate repeats them."""
        reads = self.reads or (
            Target("get", f"alpha.{self.zone}", "/products"),
            Target("page", self.zone, "/"),
            Target("get", f"api.{self.zone}", "/tenants"),
        )
        last = self.write() if self.posts else reads[0]
        return [*(reads[index % len(reads)] for index in range(9)), last]

    def write(self) -> Target:
        return Target("post", f"charlie.{self.zone}", "/products", "POST")

    def slow_target(self) -> Target:
        return Target("slow", f"api.{self.zone}", f"/slow?seconds={self.slow_seconds:g}")

    @property
    def websocket_host(self) -> str:
        return f"api.{self.zone}"
