# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from ..context import Context
from ..option import Option
from ..result import Outcome, limits
from .base import ProbeType

MEMINFO = Path("/proc/meminfo")


class Memory(ProbeType):
    name = "memory"
    summary = "The host has memory left that programs can use without swapping."
    target = "nothing: it is always the machine that runs the probe."
    target_required = False
    options: ClassVar[dict[str, Option]] = {
        "warn_percent": Option("float", "Used share in percent that is a warning.", default=90.0),
        "fail_percent": Option("float", "Used share in percent that is a failure.", default=97.0),
    }

    def expected(self) -> str:
        return f"under {self.option('fail_percent'):g} % used"

    def run(self, context: Context) -> Outcome:
        values = {line.split(":")[0]: int(line.split()[1]) for line in MEMINFO.read_text(encoding="ascii").splitlines()}
        total, available = values["MemTotal"], values["MemAvailable"]
        used = 100 * (total - available) / total
        status = limits(used, self.option("warn_percent"), self.option("fail_percent"))
        return Outcome(
            status,
            f"{used:.0f} % used, {available // 1024} MiB available",
            "" if status == "ok" else "Find what uses it: docker stats --no-stream",
            {"used_percent": round(used, 1), "available_bytes": available * 1024},
        )
