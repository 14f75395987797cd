# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
from typing import ClassVar

from ...common.errors import SlipwayError
from ..context import Context
from ..option import Option
from ..result import Outcome, limits, worst
from .base import ProbeType

GIB = 1 << 30


class Disk(ProbeType):
    name = "disk"
    summary = "A file system has space and inodes left."
    target = "a path on the file system."
    options: ClassVar[dict[str, Option]] = {
        "warn_percent": Option(
            "float", "Used share in percent that is a warning; for space and for inodes.", default=85.0
        ),
        "fail_percent": Option(
            "float", "Used share in percent that is a failure; for space and for inodes.", default=95.0
        ),
        "warn_free_bytes": Option("int", "Fewer free bytes than this is a warning."),
        "fail_free_bytes": Option("int", "Fewer free bytes than this is a failure."),
    }

    def check(self) -> None:
        if not self.probe.target.startswith("/"):
            raise SlipwayError("The target is not an absolute path.")

    def expected(self) -> str:
        limit = self.option("fail_free_bytes")
        free = f", {limit / GIB:.1f} GiB free" if limit else ""
        return f"under {self.option('fail_percent'):g} % used{free}"

    def run(self, context: Context) -> Outcome:
        stats = os.statvfs(self.probe.target)
        # What root may still use is not what the services may use: count like df.
        usable = stats.f_blocks - stats.f_bfree + stats.f_bavail
        used = _percent(stats.f_blocks - stats.f_bfree, usable)
        inodes = _percent(stats.f_files - stats.f_ffree, stats.f_files)
        free = stats.f_bavail * stats.f_frsize
        status = worst([self._share(used), self._share(inodes), self._free(free)])
        return Outcome(
            status,
            f"{used:.0f} % used, {free / GIB:.1f} GiB free, {inodes:.0f} % of inodes used",
            "" if status == "ok" else "Find what grew: du -xh -d2 / | sort -h; docker system df",
            {"used_percent": round(used, 1), "free_bytes": free, "inodes_used_percent": round(inodes, 1)},
        )

    def _share(self, percent: float) -> str:
        return limits(percent, self.option("warn_percent"), self.option("fail_percent"))

    def _free(self, free: int) -> str:
        warn_at, fail_at = self.option("warn_free_bytes"), self.option("fail_free_bytes")
        # Fewer free bytes are worse, so the comparison runs on negated values.
        return limits(-free, None if warn_at is None else -warn_at, None if fail_at is None else -fail_at)


def _percent(part: int, whole: int) -> float:
    """File systems such as btrfs have no inode table: nothing of nothing is used."""
    return 100 * part / whole if whole else 0.0
