# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Our settings among those of a team."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError
from ansible_collections.slipway.vps.plugins.module_utils.host import daemon_json
from ansible_collections.slipway.vps.plugins.module_utils.host.daemon_json import Ours, merge

BY_HAND: dict[str, Any] = {
    "log-opts": {"labels": "team", "max-size": "1g"},
    "dns": ["192.0.2.53"],
    "live-restore": False,
}
WANTED: dict[str, Any] = {"log-opts": {"max-size": "10m", "max-file": "5"}, "live-restore": True, "icc": False}


def again(ours: Ours) -> Ours:
    """As the next run reads it from the host."""
    return Ours.load(ours.dump())


def test_what_the_team_wrote_stays_unless_we_set_the_same() -> None:
    merged, _ours = merge(BY_HAND, WANTED, Ours())
    assert merged == {
        "log-opts": {"labels": "team", "max-size": "10m", "max-file": "5"},
        "dns": ["192.0.2.53"],
        "live-restore": True,
        "icc": False,
    }
    assert BY_HAND["log-opts"]["max-size"] == "1g"


def test_a_second_run_changes_nothing() -> None:
    merged, ours = merge(BY_HAND, WANTED, Ours())
    assert merge(merged, WANTED, again(ours)) == (merged, ours)


def test_what_we_no_longer_set_is_as_it_was_before_us() -> None:
    merged, ours = merge(BY_HAND, WANTED, Ours())
    back, ours = merge(merged, {}, again(ours))
    assert back == BY_HAND
    assert ours == Ours()


def test_an_object_that_only_we_filled_goes_with_its_last_setting() -> None:
    wanted = {"default-network-opts": {"bridge": {"mtu": "1400"}}}
    merged, ours = merge({"dns": []}, wanted, Ours())
    assert merge(merged, {}, again(ours))[0] == {"dns": []}


def test_what_was_changed_over_ours_is_ours_again_while_we_set_it_and_theirs_afterwards() -> None:
    merged, ours = merge({}, WANTED, Ours())
    damaged = {**merged, "icc": True}
    assert merge(damaged, WANTED, again(ours))[0] == merged
    assert merge(damaged, {}, again(ours))[0] == {"icc": True}


def test_a_text_where_an_object_belongs_is_replaced() -> None:
    assert merge({"log-opts": "none"}, WANTED, Ours())[0]["log-opts"] == WANTED["log-opts"]


@pytest.mark.parametrize("text", ["", "\n", "{}"])
def test_an_empty_file_has_no_settings(text: str) -> None:
    assert daemon_json.parse(text) == {}


@pytest.mark.parametrize(("text", "cause"), [("{", "is not JSON"), ("[]", "is no object")])
def test_a_file_that_cannot_be_read_is_refused(text: str, cause: str) -> None:
    with pytest.raises(SlipwayError, match=cause):
        daemon_json.parse(text)


def test_only_what_the_engine_takes_over_while_it_runs_is_reloaded() -> None:
    before = {"debug": False, "icc": True}
    assert daemon_json.changed(before, {"debug": True, "icc": True}) == ["debug"]
    assert daemon_json.reloadable(["debug", "registry-mirrors"])
    assert not daemon_json.reloadable(["debug", "icc"])
    assert daemon_json.changed(before, {"debug": False}) == ["icc"]


def test_a_firewall_that_would_not_hold_what_is_published_is_refused() -> None:
    daemon_json.refuse_nftables({"firewall-backend": "iptables"})
    with pytest.raises(SlipwayError, match="open to everybody"):
        daemon_json.refuse_nftables({"firewall-backend": "nftables"})
