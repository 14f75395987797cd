# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError
from ansible_collections.slipway.vps.plugins.module_utils.release import ports
from ansible_collections.slipway.vps.plugins.module_utils.release.host import parse_listening

RECORDED = Path(__file__).parent / "recorded"


def test_ports_are_kept() -> None:
    first = ports.allocate({}, {"api:8080": 1, "web:3000": 1}, "blue", set())
    assert first == {
        "api:8080": {"blue": [18000], "green": [18001]},
        "web:3000": {"blue": [18002], "green": [18003]},
    }
    assert ports.allocate(first, {"api:8080": 1, "web:3000": 1}, "green", set()) == first


def test_only_the_slot_about_to_be_filled_is_moved() -> None:
    first = ports.allocate({}, {"api:8080": 1}, "blue", set())
    grown = ports.allocate(first, {"api:8080": 3}, "green", set())
    assert grown["api:8080"]["blue"] == [18000]
    assert len(grown["api:8080"]["green"]) == 3


def test_a_port_that_somebody_else_took_is_left_to_them() -> None:
    first = ports.allocate({}, {"api:8080": 1}, "blue", set())
    assert ports.allocate(first, {"api:8080": 1}, "green", {18001})["api:8080"] == {"blue": [18000], "green": [18002]}


@given(
    st.dictionaries(st.sampled_from(["a:1", "b:2", "c:3", "d:4"]), st.integers(1, 5), min_size=1),
    st.sets(st.integers(ports.FIRST, ports.FIRST + 40), max_size=20),
    st.sampled_from(["blue", "green"]),
)
def test_no_port_is_given_twice(wanted: dict[str, int], taken: set[int], slot: str) -> None:
    blocks = ports.allocate({}, wanted, slot, taken)
    given_out = [port for both in blocks.values() for block in both.values() for port in block]
    assert len(given_out) == len(set(given_out)) == 2 * sum(wanted.values())
    assert not set(given_out) & taken
    for both in blocks.values():
        for block in both.values():
            assert block == list(range(block[0], block[0] + len(block)))
            assert block[0] >= ports.FIRST and block[-1] <= ports.LAST


def test_when_none_is_left() -> None:
    with pytest.raises(SlipwayError, match="No 1 free ports"):
        ports.allocate({}, {"a:1": 1}, "blue", set(range(ports.FIRST, ports.LAST + 1)))


def test_how_compose_wants_a_block() -> None:
    assert (ports.published([18000]), ports.published([18002, 18000, 18001])) == ("18000", "18000-18002")


def test_listening_ports_as_ss_prints_them() -> None:
    lines = (RECORDED / "ss_listening.txt").read_text(encoding="utf-8").splitlines()
    assert parse_listening(lines) == {33513, 18004, 18002, 18000, 18001, 33591, 80, 443}
