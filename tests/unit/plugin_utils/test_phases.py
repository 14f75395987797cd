# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import time
from typing import Any

from ansible_collections.slipway.vps.plugins.action.summary import phase_table


def marks() -> dict[str, Any]:
    began = time.time() - 10
    names = [("docker", ""), ("stack", "alpha"), ("backup", "alpha"), ("stack", "bravo")]
    made = [
        {"name": name, "started": began + index * 2, **({"instance": instance} if instance else {})}
        for index, (name, instance) in enumerate(names)
    ]
    return {"slipway_phases": {"run": 1, "marks": made}}


def test_each_phase_lasts_until_the_next_one() -> None:
    rows = phase_table(marks())["rows"]
    assert rows[:3] == [["docker", "2.0 s"], ["stack alpha", "2.0 s"], ["backup alpha", "2.0 s"]]
    assert [name for name, _time in rows[3:]] == ["stack bravo", "total"]
    assert phase_table({})["rows"] == []


def test_one_stack_of_several_is_told_its_own_phases() -> None:
    assert phase_table(marks(), "alpha")["rows"] == [["stack", "2.0 s"], ["backup", "2.0 s"], ["total", "4.0 s"]]
