# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A backup of the database before a migration, with what role backup configured."""

from __future__ import annotations

from typing import Any

from ..common.errors import SlipwayError
from ..common.events import Emitter

TOLD = ("info", "percent")


def make(stack: str, emitter: Emitter) -> str:
    """Back the database up, to the configured bucket or directory; return the backup's id."""
    # Loaded here because a stack without a database must need neither a PostgreSQL nor an S3 library.
    from ..backup import engine, spec

    def tell(event: dict[str, Any]) -> None:
        """The phases of a backup are no phases of a release."""
        if event["event"] in TOLD:
            emitter.emit(**{name: value for name, value in event.items() if name != "time"})

    try:
        return str(engine.run(spec.load(stack), Emitter(tell))["backup"]["id"])
    except SlipwayError as error:
        raise SlipwayError(
            f"The database could not be dumped before the migration: {error.message}",
            hint=f"{error.hint} To release without a dump, set stack_migrate_dump to false.".strip(),
            details=error.details,
        ) from error


def is_configured(stack: str) -> bool:
    from ..backup import spec

    return stack in spec.configured()
