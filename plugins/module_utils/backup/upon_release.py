# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""After a release its record goes to the bucket at once: a server lost before the night comes back with it."""

from __future__ import annotations

from ..common.errors import SlipwayError
from ..common.process import run
from . import spec

STATE = "state"
START_SECONDS = 20


def wanted(stack: str) -> bool:
    return STATE in spec.kinds(stack)


def back_up_state(stack: str) -> None:
    """Start the backup by its unit, beside everything else."""
    unit = f"slipway-backup-state@{stack}.service"
    if run(["systemctl", "start", "--no-block", unit], timeout=START_SECONDS, check=False).rc:
        raise SlipwayError(f"{unit} cannot be started.", hint=f"Look at it with: systemctl status {unit}")
