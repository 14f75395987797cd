# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What files alone tell of a user; that everything of theirs ends is tried on a real host (scenario access)."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from ansible_collections.slipway.vps.plugins.module_utils.host import leavers

NOBODY = "somebody-who-was-here"


@pytest.fixture
def places(tmp_path: Path) -> leavers.Places:
    folders = {name: str(tmp_path / name) for name in ("sudoers_parts", "crontabs", "at_jobs", "lingering", "mail")}
    for folder in folders.values():
        Path(folder).mkdir()
    return leavers.Places(sudoers=str(tmp_path / "sudoers"), **folders)


def converge(places: leavers.Places, tmp_path: Path, *, check: bool = False) -> leavers.Report:
    return leavers.converge([NOBODY], home="archive", archives=str(tmp_path / "archives"), check=check, places=places)


def test_who_was_never_here_is_no_change(places: leavers.Places, tmp_path: Path) -> None:
    assert not converge(places, tmp_path).changed


def test_traces_of_an_account_that_is_gone_are_found_told_and_removed(places: leavers.Places, tmp_path: Path) -> None:
    traces = [Path(folder, NOBODY) for folder in (places.crontabs, places.lingering, places.mail)]
    for path in traces:
        path.touch()
    told = converge(places, tmp_path, check=True)
    assert told.before == [str(path) for path in traces]
    assert all(path.exists() for path in traces)
    assert converge(places, tmp_path).removed == [NOBODY]
    assert not any(path.exists() for path in traces)
    assert not converge(places, tmp_path).changed


def test_users_of_rules_are_counted_by_what_sudo_calls_them() -> None:
    rules = {
        "User_Aliases": {"TEAM": [{"username": "kim"}]},
        "User_Specs": [
            {"User_List": [{"username": "alex"}, {"usergroup": "adm"}, {"useralias": "TEAM"}]},
            {"User_List": [{"userid": 1001}, {"username": "alex"}]},
        ],
    }
    assert leavers.users_of(rules) == Counter(
        {"alex": 2, "kim": 1, "#1001": 1, "usergroup adm": 1, "useralias TEAM": 1}
    )


def test_a_rule_of_several_people_is_left_to_a_person(places: leavers.Places) -> None:
    rules = {
        "/alone": Counter({NOBODY: 2}),
        "/shared": Counter({NOBODY: 1, "ops": 1}),
        places.sudoers: Counter({NOBODY: 1}),
    }
    found = leavers.traces(NOBODY, places, rules)
    assert found.files == ["/alone"]
    assert found.shared_rules == ["/shared", places.sudoers]
