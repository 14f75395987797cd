# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The measurement of tenants in its short form: every way works, and all figures that are asked of it are there."""

from __future__ import annotations

import importlib.util
import sys

import pytest
from slipway_bench.result import ROOT

PLACE = ROOT / "tests" / "bench" / "tenants" / "bench.py"


@pytest.mark.long
def test_every_way_makes_the_same_and_an_unchanged_pass_asks_the_same_of_few_and_of_many(monkeypatch):
    spec = importlib.util.spec_from_file_location("bench_of_tenants", PLACE)
    bench = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, bench)
    monkeypatch.setattr(sys, "path", list(sys.path))
    spec.loader.exec_module(bench)
    words = "--repetitions 1 --tenants 4 --loop 1 --tables 2 --few 2 --some 0 --many 12"
    result = bench.run(bench.arguments(words.split()))
    assert set(result.ratios) >= {"community_loop/slipway.create", "slipway/psycopg2.create"}
    assert all(value > 0 for value in result.ratios.values())
    assert result.figures["slipway.noop_queries_100"] == result.figures["slipway.noop_queries_10000"]
    assert result.figures["slipway.noop_changed_10000"] == [0]
    assert result.figures["slipway.noop_ms_per_tenant"][0] > 0
    assert result.figures["slipway.noop_rss_mib_10000"][0] < 200
