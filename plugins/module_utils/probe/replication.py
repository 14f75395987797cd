# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How far a standby is behind, asked of the standby itself or of its primary."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .result import OK, Outcome, fail, limits

# A standby that has replayed all that it received is not behind, however long ago the last commit was.
QUERY = """
SELECT pg_is_in_recovery(),
       CASE WHEN pg_is_in_recovery() THEN (SELECT count(*) FROM pg_stat_wal_receiver)
            ELSE (SELECT count(*) FROM pg_stat_replication) END,
       (SELECT count(*) FROM pg_stat_replication WHERE state IS NULL),
       CASE WHEN NOT pg_is_in_recovery()
            THEN (SELECT coalesce(max(extract(epoch FROM replay_lag)), 0) FROM pg_stat_replication)
            WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0
            ELSE extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()) END,
       pg_is_in_recovery() AND pg_last_wal_receive_lsn() IS NOT NULL
"""


def judge(row: Sequence[Any], warn_seconds: float | None, fail_seconds: float | None, version: str) -> Outcome:
    standby, connections, hidden, lag, streams = row
    observed = {"server_version": version, "standby": standby, "connections": connections}
    if standby and streams and not connections:
        return fail(
            "the standby receives no log from its primary",
            "Look at the primary, and at primary_conninfo in the standby's log.",
            **observed,
        )
    if not standby and not connections:
        return fail("no standby is connected", "Is it started? Look at its log.", **observed)
    if hidden:
        return fail("this user may not see the lag", "GRANT pg_monitor TO the user of the probe.", **observed)
    if lag is None:
        return fail("the standby has replayed nothing yet", "Look at its log.", **observed)
    status = limits(float(lag), warn_seconds, fail_seconds)
    who = "the standby is" if standby or connections == 1 else f"the slowest of {connections} standbys is"
    hint = "" if status == OK else "Look for load, a long query on the standby, or a slow network."
    return Outcome(status, f"{who} {float(lag):.1f} s behind", hint, {**observed, "lag_seconds": round(float(lag), 3)})
