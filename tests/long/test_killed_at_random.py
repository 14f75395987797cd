# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Releases that are killed at random moments, round after round, under load."""

from __future__ import annotations

import os
import random
from typing import Any

import pytest
from slipway_crash import Crash
from slipway_lab import Server
from slipway_load import Load

ROUNDS = int(os.environ.get("SLIPWAY_KILL_ROUNDS", "40"))
SEED = int(os.environ.get("SLIPWAY_KILL_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 30)
# A release of the shop takes about so long.
LONGEST = 20.0


def test_killed_at_random_moments(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    crash = Crash(server)
    chance = random.Random(SEED)  # noqa: S311 - a seed, so that a round can be had again
    server.playbook("deploy", "-e", "stack_release=1.0.0", "-e", "stack_observe=2")
    serving = crash.consistent()["serving"]
    ends: list[tuple[Any, ...]] = []
    with Load(server, rate=50, websockets=3) as load:
        for _round in range(ROUNDS):
            release = chance.choice([name for name in ("1.0.0", "1.0.1", "1.1.0") if name != serving])
            death = crash.kill(release, after=chance.uniform(0.2, LONGEST))
            end = crash.consistent()
            ends.append((death.phase, end["result"]))
            assert end["serving"] in (serving, release), (SEED, ends)
            serving = end["serving"]
    with capsys.disabled():
        print(f"\nseed {SEED}: {ends}\n{load.report}")
    assert load.report.lost == 0, (SEED, ends, str(load.report))
    server.playbook("deploy", "-e", "stack_release=1.0.0", "-e", "stack_observe=2")
    assert crash.consistent()["serving"] == "1.0.0"
