# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError
from ansible_collections.slipway.vps.plugins.module_utils.operations import logs
from ansible_collections.slipway.vps.plugins.module_utils.operations.logs import Line, Wish
from ansible_collections.slipway.vps.plugins.module_utils.release.paths import StackPaths


class Engine:
    """Hands out recorded bytes as the Docker Engine does: in pieces that end anywhere."""

    def __init__(self, written: dict[str, bytes]) -> None:
        self.written = written
        self.asked: list[dict[str, Any]] = []

    def log_stream(self, identifier: str, **options: Any) -> Iterator[bytes]:
        self.asked.append(options)
        data = self.written[identifier]
        yield from (data[at : at + 7] for at in range(0, len(data), 7))


@pytest.fixture
def host() -> Any:
    engine = Engine(
        {
            "a": b"2026-11-21T05:00:01.000000000Z one\n2026-11-21T05:00:03.000000000Z three 500\n",
            "b": b"2026-11-21T05:00:02.000000000Z two 500\r\n2026-11-21T05:00:04.000000000Z four",
        }
    )
    return SimpleNamespace(daemon=engine, paths=StackPaths("shop", Path("/srv")))


ENTRIES: Any = [SimpleNamespace(id="a", name="shop-blue-api-1"), SimpleNamespace(id="b", name="shop-blue-api-2")]


def words(lines: list[Line]) -> list[str]:
    return [f"{line.label}:{line.text}" for line in lines]


def test_the_lines_of_all_replicas_are_in_the_order_of_their_moments(host):
    assert words(logs.recent(host, ENTRIES, Wish())) == ["api-1:one", "api-2:two 500", "api-1:three 500", "api-2:four"]


def test_the_number_of_lines_is_that_of_all_together(host):
    assert words(logs.recent(host, ENTRIES, Wish(lines=2))) == ["api-1:three 500", "api-2:four"]
    assert logs.recent(host, ENTRIES, Wish(lines=0)) == []


def test_what_is_searched_for_is_searched_in_all_lines_and_not_in_the_newest(host):
    wish = Wish(lines=2, pattern=logs.pattern("5.0"))
    assert words(logs.recent(host, ENTRIES, wish)) == ["api-2:two 500", "api-1:three 500"]
    assert all(options["tail"] is None for options in host.daemon.asked)


def test_moments_are_an_age_or_iso_8601():
    now = 1_700_000_000.0
    assert logs.since("90s", now) == 1_699_999_910
    assert logs.since("2d", now) == 1_699_827_200
    assert logs.since("2023-11-14T22:13:20Z", now) == 1_700_000_000
    assert logs.since("2023-11-14T23:13:20+01:00", now) == 1_700_000_000
    for wrong in ("yesterday", "15", "5w", ""):
        with pytest.raises(SlipwayError, match="is not a moment"):
            logs.since(wrong, now)


def test_a_wrong_expression_is_a_sentence():
    with pytest.raises(SlipwayError, match="not a regular expression"):
        logs.pattern("(")


def test_following_tells_each_line_once_and_goes_over_to_new_containers(host, monkeypatch):
    host.daemon.written = {"a": b"2026-11-21T05:00:01.0Z one\n", "c": b"2026-11-21T05:00:05.0Z five\n"}
    rounds = [
        [SimpleNamespace(id="a", name="shop-blue-api-1", running=True)],
        [SimpleNamespace(id="a", name="shop-blue-api-1", running=True)],
        [SimpleNamespace(id="c", name="shop-green-api-1", running=True)],
    ]
    monkeypatch.setattr(
        logs.selection, "containers", lambda host, choice: rounds.pop(0) if len(rounds) > 1 else rounds[0]
    )
    monkeypatch.setattr(logs, "LOOK_AGAIN_SECONDS", 0.05)
    told: list[str] = []

    class Enough(Exception):
        pass

    def say(line: Line) -> None:
        told.append(line.text)
        if line.text == "five":
            raise Enough

    follower = logs.Follower(host, logs.selection.Choice(), Wish())
    with pytest.raises(Enough):
        follower.run(say)
    time.sleep(0.05)
    assert told == ["one", "five"]


def test_a_line_names_its_container():
    line = Line("2026-11-21T05:00:01.123456789Z", "api-1", "hello")
    assert logs.text(line, 10, with_moment=False) == "api-1      | hello"
    assert logs.text(line, 5, with_moment=True) == "2026-11-21T05:00:01.123Z api-1 | hello"
