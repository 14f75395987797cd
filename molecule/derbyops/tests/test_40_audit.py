# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The audit log: who did what to a league, and when; it only grows, and whatever is taken from it is noticed."""

from __future__ import annotations

import re

from slipway_leagues import Leagues

LOG = "/srv/bravo/releases.jsonl"
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def test_administrative_actions_are_on_record_with_who_what_and_when(leagues: Leagues) -> None:
    before = leagues.output(f"cat {LOG}")
    leagues.playbook(
        "deploy", "-e", "stack_instance=bravo", "-e", "stack_release=1.0.1", "-e", "stack_requested_by=operations"
    )
    leagues.playbook("rollback", "-e", "stack_instance=bravo", "-e", "stack_requested_by=standby")
    assert leagues.output(f"cat {LOG}").startswith(before)
    back, forth = leagues.server.history("bravo")[:2]
    told = [(one["kind"], one["name"], one["by"], one["result"]) for one in (forth, back)]
    assert told == [("deploy", "1.0.1", "operations", "succeeded"), ("rollback", "1.0.0", "standby", "succeeded")]
    moments = [one["at"] for one in reversed(leagues.server.history("bravo"))]
    assert all(MOMENT.fullmatch(moment) for moment in moments) and moments == sorted(moments)


def test_nobody_takes_a_line_away_unnoticed(leagues: Leagues) -> None:
    assert leagues.vps.check_output(f"stat --format '%a %U' {LOG}") == "640 root"
    leagues.output(f"cp --preserve {LOG} /root/kept.jsonl")
    try:
        for damage, word in (("sed -i 1d", "shorter than it was"), ("sed -i s/deploy/DEPLOY/", "lines were changed")):
            leagues.output(f"{damage} {LOG}")
            seen = leagues.vps.run("slipway release list bravo")
            assert seen.rc == 1 and word in seen.stderr
            leagues.output(f"cp --preserve /root/kept.jsonl {LOG}")
    finally:
        leagues.output(f"mv /root/kept.jsonl {LOG}")
    assert leagues.vps.run("slipway release list bravo").rc == 0
