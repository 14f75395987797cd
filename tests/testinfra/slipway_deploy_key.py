# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The CI system: it has one key, and asks."""

from __future__ import annotations

import subprocess
from typing import Any

from slipway_lab import LAB

KEY = LAB / "deploy_key"
OPTIONS = ["-F", "/dev/null", "-i", str(KEY), "-o", "IdentitiesOnly=yes", "-o", f"UserKnownHostsFile={LAB}/known_hosts"]
OPTIONS += ["-o", "BatchMode=yes"]


def ssh(server: Any, *words: str, before: tuple[str, ...] = (), stdin: str = "") -> subprocess.CompletedProcess[str]:
    argv = ["ssh", *OPTIONS, *before, f"deploy@{server.address}", *words]
    return subprocess.run(argv, capture_output=True, text=True, input=stdin, timeout=240, check=False)
