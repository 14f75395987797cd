# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Room for a database that is restored: looked at before anything is made, where its server keeps its files."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from ..common.errors import SlipwayError
from ..postgres.options import PostgresOptions
from . import containers
from .wal.cluster import locate

GIGABYTE = 10**9
# What a server writes beside its tables while they are filled, and what has to stay free for what serves.
SPARE_BYTES = GIGABYTE // 2
LOCAL = ("", "localhost", "127.0.0.1", "::1")


def place_of(options: PostgresOptions, cursor: Any) -> Path | None:
    """The folder of the server's files on this host; None if they are on another one, or not to be seen."""
    if options.container:
        with containers.engine() as client:
            attributes = client.containers.get(options.container).attrs
        try:
            found = locate(options.container, attributes).path
        except SlipwayError:
            return None  # in no volume: inside the container, whose disk is not told
    elif options.host in LOCAL:
        # Hidden from all but superusers and those who may read all settings.
        cursor.execute("SELECT setting FROM pg_settings WHERE name = 'data_directory'")
        row = cursor.fetchone()
        found = Path(row[0]) if row else Path()
    else:
        return None
    return found if found.is_absolute() and found.is_dir() else None


def refuse_without_room(place: Path, needed: int, spare: int = SPARE_BYTES, what: str = "The restore") -> None:
    """A tenth more than it was, as no two databases have their free space in the same pages."""
    needed += needed // 10 + spare
    free = shutil.disk_usage(place).free
    if free < needed:
        raise SlipwayError(
            f"{what} needs {needed / GIGABYTE:.1f} GB at {place}, {free / GIGABYTE:.1f} GB are free.",
            hint="Make room there (`df -h`; databases named ..._before_... may be what nobody misses), "
            "or use another host.",
        )
