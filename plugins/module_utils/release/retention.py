# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which releases are kept. Pure."""

from __future__ import annotations

from collections.abc import Iterable


def expired(releases: Iterable[int], served: Iterable[int], keep: int, needed: Iterable[int]) -> list[int]:
    """Everything but the newest `keep` that served and those that are needed (they serve, or lie in a slot)."""
    kept = {*sorted(served, reverse=True)[:keep], *needed}
    return sorted(number for number in releases if number not in kept)
