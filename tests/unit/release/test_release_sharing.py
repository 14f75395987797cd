# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError
from ansible_collections.slipway.vps.plugins.module_utils.release import sharing
from ansible_collections.slipway.vps.plugins.module_utils.release.model import Model
from ansible_collections.slipway.vps.plugins.module_utils.release.paths import StackPaths


class Users:
    """Who has which volume, as the Engine would say it."""

    def __init__(self, users: dict[str, dict[str, str]]) -> None:
        self.users = users
        self.asked: list[str] = []

    def volume_users(self, volume: str) -> dict[str, str]:
        self.asked.append(volume)
        return self.users.get(volume, {})


def stacks(root: Path, *names: str) -> StackPaths:
    for name in names:
        (root / name).mkdir()
        (root / name / "state.json").write_text("{}")
    return StackPaths(names[0], root)


def refuse(users: Users, paths: StackPaths, volume: dict[str, Any]) -> None:
    model = Model({"services": {}, "volumes": {"pgdata": volume}})
    sharing.refuse(users, paths, model)  # type: ignore[arg-type]


def test_a_volume_that_another_stack_uses_is_refused(tmp_path: Path) -> None:
    users = Users({"leagues": {"iris-data-postgres-1": "iris-data"}})
    with pytest.raises(SlipwayError, match="The volume leagues is that of the stack iris") as refused:
        refuse(users, stacks(tmp_path, "rose", "iris"), {"name": "leagues"})
    assert "Remove name: leagues from the volume pgdata" in refused.value.hint


@pytest.mark.parametrize(
    "users",
    [
        {"rose-data-postgres-1": "rose-data"},
        {"backup": ""},
        {"old-postgres-1": "old"},
        {"gone-data-postgres-1": "gone-data"},
    ],
    ids=["its own", "no project", "no stack", "a stack that is not there"],
)
def test_others_may_look_at_it(tmp_path: Path, users: dict[str, str]) -> None:
    refuse(Users({"leagues": users}), stacks(tmp_path, "rose", "iris"), {"name": "leagues"})


def test_the_names_that_compose_makes_need_no_question(tmp_path: Path) -> None:
    users = Users({"shared": {"iris-data-postgres-1": "iris-data"}})
    paths = stacks(tmp_path, "rose", "iris")
    refuse(users, paths, {"name": "rose_pgdata"})
    refuse(users, paths, {"name": "shared", "external": True})
    assert users.asked == []
