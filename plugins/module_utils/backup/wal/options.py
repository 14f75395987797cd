# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The settings of continuous archiving: what the configuration says under `kinds.base`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...common.errors import SlipwayError
from .. import spec as specs
from ..spec import GIB, Spec

KIND = "base"
SPOOL_DIRECTORY = Path("/var/lib/slipway/wal")
SLOT = re.compile(r"[a-z0-9_]{1,63}")
SHORTEST_INTERVAL = 1.0
SMALLEST_ROOM = 64 * 1024 * 1024


@dataclass(frozen=True)
class WalOptions:
    """How the log is shipped, and how much of it may wait where."""

    slot: str = "slipway_wal"
    ship_seconds: float = 5.0
    spool_bytes: int = 4 * GIB
    keep_bytes: int = 4 * GIB

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> WalOptions:
        options = cls(
            slot=str(data.get("slot") or cls.slot),
            ship_seconds=float(data.get("ship_seconds") or cls.ship_seconds),
            spool_bytes=int(data.get("spool_bytes") or cls.spool_bytes),
            keep_bytes=int(data.get("keep_bytes") or cls.keep_bytes),
        )
        if not SLOT.fullmatch(options.slot):
            raise SlipwayError(
                f"The replication slot {options.slot!r} cannot be named so.",
                hint="Use lower-case letters, digits and underscores.",
            )
        if options.ship_seconds < SHORTEST_INTERVAL:
            raise SlipwayError(f"The log is shipped every {SHORTEST_INTERVAL:g} s at most, not {options.ship_seconds}.")
        if min(options.spool_bytes, options.keep_bytes) < SMALLEST_ROOM:
            raise SlipwayError(
                f"The log needs room for at least {SMALLEST_ROOM} bytes in the spool and at the server.",
                hint="Raise backup_wal_spool_bytes and backup_wal_keep_bytes.",
            )
        return options


def load(stack: str) -> Spec:
    """The configuration of a stack whose log is archived."""
    return checked(specs.load(stack, KIND))


def checked(spec: Spec) -> Spec:
    if not spec.s3:
        raise SlipwayError(
            f"The log of stack {spec.stack} has no bucket to go to.",
            hint="Point in time recovery needs one: set backup_s3_bucket.",
        )
    if not spec.postgres.container:
        raise SlipwayError(
            f"The database of stack {spec.stack} is not a container of this host, so its log cannot be received here.",
            hint="A managed server has its provider's point in time recovery: set backup_wal_enabled to false.",
        )
    return spec


def spool_directory(spec: Spec) -> Path:
    return SPOOL_DIRECTORY / spec.stack
