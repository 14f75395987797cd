# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Asking again for an answer that broke off in its body. The library tries a request again, but not this."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

from .errors import S3Error
from .options import S3Options

T = TypeVar("T")

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 20.0


def pause(failures: int) -> float:
    """Seconds before the next try: longer each time, never the same on two hosts."""
    spread: float = random.uniform(0.5, 1.0)  # noqa: S311 - no secret depends on it
    return min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** (failures - 1)) * spread


def persistent(options: S3Options, ask: Callable[[], T]) -> T:
    """What `ask` returns, asked as often as the options say while the connection breaks."""
    failures = 0
    while True:
        try:
            return ask()
        except S3Error as error:
            failures += 1
            if error.kind != "unreachable" or failures > options.retries:
                raise
            time.sleep(pause(failures))
