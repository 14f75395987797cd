# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Figures, ratios and the page that is written from them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from slipway_bench import Result, page, result


@pytest.fixture
def measured() -> Result:
    made = Result("deploy", machine={"cores": 2})
    for one, other in ((2.0, 1.0), (9.0, 3.0), (4.0, 1.0)):
        made.add("slipway.seconds", one)
        made.add("peer.seconds", other)
    made.compare("slipway", "peer", "seconds")
    return made


def test_a_ratio_is_the_median_of_the_pairs(measured: Result) -> None:
    assert measured.ratios == {"slipway/peer.seconds": 3.0}


def test_pairs_that_are_no_pairs_are_refused() -> None:
    with pytest.raises(ValueError, match=r"shorter|longer"):
        result.ratio([1.0, 2.0], [1.0])
    with pytest.raises(ValueError, match="nothing to divide by"):
        result.ratio([1.0], [0.0])


def test_the_file_has_the_agreed_keys(measured: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(result, "RESULTS", tmp_path)
    path = measured.write()
    assert json.loads(path.read_text()) == {
        "name": "deploy",
        "machine": {"cores": 2},
        "repetitions": 3,
        "figures": {"slipway.seconds": [2.0, 9.0, 4.0], "peer.seconds": [1.0, 3.0, 1.0]},
        "ratios": {"slipway/peer.seconds": 3.0},
    }
    assert Result.read(path) == measured


def test_the_page_shows_medians_and_ratios(measured: Result) -> None:
    text = page.render([measured])
    assert "| `slipway.seconds` | 4 | 2 | 9 | 3 |" in text
    assert "| `slipway/peer.seconds` | 3 |  |  |  |" in text


def test_the_page_in_docs_is_written_from_the_results_that_are_kept() -> None:
    assert page.PAGE.read_text(encoding="utf-8") == page.render(page.kept()), "run: make benchmarks"
