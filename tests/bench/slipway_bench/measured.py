#!/usr/bin/env python
# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Stands in for the interpreter of a module: runs the real one, and notes what the module's process took."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

KIB = 1024


def main() -> int:
    began = time.monotonic()
    process = subprocess.Popen([os.environ["MEASURED_PYTHON"], *sys.argv[1:]])
    _pid, status, usage = os.wait4(process.pid, 0)
    took = {
        "seconds": time.monotonic() - began,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "rss_mib": usage.ru_maxrss / KIB,
    }
    with Path(os.environ["MEASURED_NOTES"]).open("a", encoding="utf-8") as notes:
        notes.write(json.dumps(took) + "\n")
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(main())
