# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rows of the registry that cannot be served: why, since when, and when they are tried again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from .session import Session

# What each stack's last run found, for the probe and for the next run. The file's time is that of the last run.
NOTES = Path("/var/lib/slipway/tenants")
# 2, 4, 8 ... 60 minutes after a failure: five tries in the first hour, which is what certificate authorities bear.
LONGEST_WAIT = 60

READ = """
SELECT registry_id, name, digest, reason, to_char(since AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
       next_at > clock_timestamp()
FROM slipway.tenant_problems ORDER BY since, name
"""

RECORD = """
INSERT INTO slipway.tenant_problems AS known (registry_id, name, digest, reason, next_at)
VALUES (%(id)s, %(name)s, %(digest)s, %(reason)s, clock_timestamp() + interval '2 minutes')
ON CONFLICT (registry_id) DO UPDATE SET
    name = excluded.name, digest = excluded.digest, reason = excluded.reason,
    tries = CASE WHEN known.digest = excluded.digest THEN known.tries + 1 ELSE 1 END,
    next_at = clock_timestamp() + interval '1 minute' * CASE
        WHEN known.digest = excluded.digest THEN least(power(2, least(known.tries + 1, 10)), %(longest)s) ELSE 2 END
"""

SETTLE = "DELETE FROM slipway.tenant_problems WHERE registry_id = ANY(%s)"


@dataclass(frozen=True)
class Problem:
    """Why a row cannot be served."""

    registry_id: str
    name: str
    digest: str
    reason: str
    since: str = ""
    waits: bool = False

    def as_dict(self) -> dict[str, str]:
        return {"name": self.name, "reason": self.reason, "since": self.since}


def read(session: Session) -> dict[str, Problem]:
    return {row[0]: Problem(*row) for row in session.rows(READ)}


def write(session: Session, found: Iterable[Problem], settled: Iterable[str], known: Mapping[str, Problem]) -> None:
    """Record what was found, and forget what is settled. The caller commits."""
    for problem in found:
        values = {"id": problem.registry_id, "name": problem.name, "digest": problem.digest, "reason": problem.reason}
        session.run(RECORD, {**values, "longest": LONGEST_WAIT})
    gone = [identity for identity in settled if identity in known]
    if gone:
        session.run(SETTLE, (gone,))
