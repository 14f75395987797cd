# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError
from ansible_collections.slipway.vps.plugins.module_utils.common.events import Emitter, sentence


def test_phases_are_timed_and_told():
    events = []
    emitter = Emitter(events.append)
    with emitter.phase("pull"):
        emitter.percent("pull", 50.04, "2 of 4 images")
    assert [event["event"] for event in events] == ["start", "percent", "done"]
    assert emitter.phases[0]["name"] == "pull"
    assert emitter.phases[0]["result"] == "done"
    assert sentence(events[1]) == "pull 50 % 2 of 4 images"


def test_a_failing_phase_is_told_and_names_itself_in_the_error():
    events = []
    emitter = Emitter(events.append)
    with pytest.raises(SlipwayError) as caught, emitter.phase("migrate"):
        raise SlipwayError("The migration failed.")
    assert caught.value.phase == "migrate"
    assert events[-1]["event"] == "failed"
    assert "The migration failed." in sentence(events[-1])


def test_an_inner_phase_keeps_its_name():
    with pytest.raises(SlipwayError) as caught, Emitter.null().phase("outer"):
        raise SlipwayError("It failed.", phase="inner")
    assert caught.value.phase == "inner"
