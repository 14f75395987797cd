# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the command says to people: answers on standard output, complaints on standard error, each at once."""

from __future__ import annotations

import sys


def say(text: object) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def complain(text: object) -> None:
    sys.stderr.write(f"slipway: {text}\n")
    sys.stderr.flush()
