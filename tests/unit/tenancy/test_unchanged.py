# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A pass over tenants that are as they should be: as many queries for few as for many, and hardly any memory."""

from __future__ import annotations

import gc
import tracemalloc

FEW, MANY = 20, 100
KIB = 1024


def test_an_unchanged_pass_asks_the_same_of_few_and_many_and_keeps_nothing(shop):
    slugs = [f"tenant{number}" for number in range(MANY)]
    shop.converge(*slugs)

    def look(count):
        result = shop.converge(*slugs[:count])
        assert (result["changed"], result["summary"]["unchanged"]) == (False, count)
        return result["queries"]

    assert look(FEW) == look(MANY)
    tracemalloc.start()
    try:
        look(MANY)
        gc.collect()
        tracemalloc.reset_peak()
        before, _peak = tracemalloc.get_traced_memory()
        for _repetition in range(3):
            look(MANY)
        gc.collect()
        after, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 64 * KIB
    assert (peak - before) / MANY < 24 * KIB
