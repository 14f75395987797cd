# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How far a stream is."""

from __future__ import annotations

from ..common.events import Emitter


class Progress:
    """Tells the percentage in steps, so that a long stream does not flood the journal."""

    STEP = 5.0

    def __init__(self, emitter: Emitter, phase: str, total: int) -> None:
        self._emitter = emitter
        self._phase = phase
        self._total = total
        self._next = self.STEP

    def at(self, done: int) -> None:
        if not self._total:
            return  # nobody knows how much there is
        percent = min(99.0, 100.0 * done / self._total)
        if percent >= self._next:
            self._emitter.percent(self._phase, percent, f"{done / 1e6:.0f} MB")
            self._next = percent - percent % self.STEP + self.STEP
