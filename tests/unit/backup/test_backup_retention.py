# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the retention may never do, for any history of backups."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.slipway.vps.plugins.module_utils.backup.retention import Candidate, Policy, plan, waiting
from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=timezone.utc)


def one(hours_ago, verified=True):
    return Candidate(f"b{hours_ago:06d}", NOW - timedelta(hours=hours_ago), verified)


counts = st.integers(min_value=0, max_value=8)
policies = st.builds(Policy, days=counts, hourly=counts, daily=counts, weekly=counts, monthly=counts)
histories = st.dictionaries(st.integers(min_value=0, max_value=24 * 400), st.booleans(), max_size=60).map(
    lambda found: [one(hours, verified) for hours, verified in found.items()]
)


def newest(backups):
    return max(backups, key=lambda found: found.created)


@given(histories, policies)
def test_the_newest_backup_and_the_newest_verified_one_always_stay(backups, policy):
    gone = plan(backups, policy, NOW)
    if backups:
        assert newest(backups).id not in gone
    verified = [found for found in backups if found.verified]
    if verified:
        assert newest(verified).id not in gone


@given(histories, policies)
def test_only_what_a_newer_verified_one_replaces_goes(backups, policy):
    by_id = {found.id: found for found in backups}
    for identity in plan(backups, policy, NOW):
        assert any(found.verified and found.created > by_id[identity].created for found in backups)


@given(histories, policies)
def test_nothing_younger_than_the_days_goes(backups, policy):
    by_id = {found.id: found for found in backups}
    for identity in plan(backups, policy, NOW):
        assert by_id[identity].created < NOW - timedelta(days=policy.days)


@given(histories, policies)
def test_nothing_goes_where_nothing_is_verified(backups, policy):
    unproved = [Candidate(found.id, found.created, False) for found in backups]
    assert plan(unproved, policy, NOW) == []


@given(histories, policies)
def test_the_same_plan_again_finds_nothing_more(backups, policy):
    gone = plan(backups, policy, NOW)
    left = [found for found in backups if found.id not in gone]
    assert plan(left, policy, NOW) == []


@given(histories)
def test_a_policy_of_zeros_keeps_everything(backups):
    assert plan(backups, Policy(), NOW) == []


@given(histories, policies, st.randoms())
def test_the_order_of_the_list_does_not_matter(backups, policy, random):
    shuffled = list(backups)
    random.shuffle(shuffled)
    assert plan(shuffled, policy, NOW) == plan(backups, policy, NOW)


def test_what_only_stays_for_want_of_a_proof_is_counted():
    old = [one(24 * day, verified=False) for day in range(40)]
    assert plan(old, Policy(days=30), NOW) == []
    assert waiting(old, Policy(days=30), NOW) == 9
    assert waiting([one(24 * day) for day in range(40)], Policy(days=30), NOW) == 0


def test_thirty_days_of_daily_backups_stay():
    daily = [one(24 * day) for day in range(60)]
    assert plan(daily, Policy(days=30), NOW) == [one(24 * day).id for day in range(59, 30, -1)]


def test_counts_keep_the_newest_of_each_period():
    hourly = [one(hour) for hour in range(24 * 90)]
    gone = plan(hourly, Policy(hourly=24, daily=7, weekly=4, monthly=3), NOW)
    left = [found for found in hourly if found.id not in gone]
    assert 24 + 5 + 2 + 1 <= len(left) <= 24 + 7 + 4 + 3
    assert {found.created.month for found in left} == {9, 10, 11}


@pytest.mark.parametrize("bad", [{"days": -1}, {"yearly": 2}])
def test_a_policy_that_makes_no_sense_is_refused(bad):
    with pytest.raises(SlipwayError):
        Policy.from_dict(bad)
