# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from datetime import datetime, timezone
from math import inf
from typing import Any, ClassVar

from ...common import validate
from ...common.errors import SlipwayError
from ..context import Context
from ..option import Option
from ..result import OK, WARN, Outcome, fail, limits, worst
from .backup_age import size
from .base import ProbeType
from .systemd import span


class WalLag(ProbeType):
    name = "wal_lag"
    summary = "The log of a stack's database is shipped to the bucket soon enough, and its replication slot is well."
    target = "the stack's name."
    options: ClassVar[dict[str, Option]] = {
        "warn_seconds": Option(
            "float",
            "Seconds of commits that are not in the bucket: a warning. Never more than C(backup_goal_rpo).",
            default=30.0,
        ),
        "fail_seconds": Option("float", "Seconds of commits that are not in the bucket: a failure.", default=300.0),
        "warn_bytes": Option("float", "Bytes of log that are not received: a warning.", default=256.0 * 1024 * 1024),
        "fail_bytes": Option("float", "Bytes of log that are not received: a failure.", default=1024.0 * 1024 * 1024),
    }

    def check(self) -> None:
        validate.stack_name(self.probe.target)

    def expected(self) -> str:
        return f"under {span(self.option('fail_seconds'))} behind"

    def run(self, context: Context) -> Outcome:
        # Imported where it is used: the engine of backups is large, and most runs have no probe of one.
        from ...backup.wal import status

        try:
            promised = rpo(self.probe.target)
            return self.judge(status.read(self.probe.target), datetime.now(timezone.utc), promised)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise SlipwayError(f"The state of the log of {self.probe.target} cannot be read: {error}.") from error

    def judge(self, known: dict[str, Any], now: datetime, promised: float | None = None) -> Outcome:
        """The verdict about what the shipper noted; a shipper that is gone notes nothing, so the lag grows."""
        from ...backup.wal.archive import parse_moment

        unit = f"slipway-wal@{self.probe.target}"
        covered = parse_moment(str(known.get("covered") or ""))
        if covered is None:
            seen = known.get("failure") or "nothing was shipped yet"
            return fail(f"no log is in the bucket: {seen}", f"journalctl -u {unit}")
        seconds = max(0.0, (now - covered).total_seconds())
        lag = int(known.get("lag_bytes") or 0)
        slot = known.get("slot") or {}
        observed = {
            "lag_seconds": round(seconds, 1),
            "lag_bytes": lag,
            "spool_bytes": known["spool_bytes"],
            "slot": slot.get("status", ""),
            "slot_safe_bytes": slot.get("safe_bytes"),
        }
        verdict = worst(
            [
                limits(seconds, min(self.option("warn_seconds"), promised or inf), self.option("fail_seconds")),
                limits(lag, self.option("warn_bytes"), self.option("fail_bytes")),
                WARN if slot.get("status") in ("unreserved", "lost") or known.get("base_wanted") else OK,
            ]
        )
        text = f"the bucket is {span(seconds)} and {size(lag)} behind"
        if slot.get("status") in ("unreserved", "lost"):
            text += f"; the server gives up the slot ({slot['status']})"
        if known.get("base_wanted"):
            text += f"; a base backup is needed, because {known['base_wanted']}"
        if verdict != OK and known.get("failure"):
            text += f"; {known['failure']}"
        return Outcome(verdict, text, "" if verdict == OK else f"journalctl -u {unit}", observed)


def rpo(stack: str) -> float | None:
    """What the team has promised, as the host's configuration has it."""
    from ...backup import schedule

    try:
        return schedule.watch(stack).rpo
    except PermissionError:
        return None
