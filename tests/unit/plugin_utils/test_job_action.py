# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A connection that breaks while a job runs is no failure of the job."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleConnectionFailure

from ansible_collections.slipway.vps.plugins.plugin_utils import job_action


class Task:
    delegate_to = "web1"


class Following(job_action.JobAction):
    """What the host answers, one after the other; an exception is a connection that breaks."""

    def __init__(self, answers: list[Any]) -> None:
        self._task = Task()
        self.answers = answers
        self.asked: list[dict[str, Any]] = []

    def _call(self, module: str, arguments: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        self.asked.append(arguments)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return dict(answer)


DONE = {"state": "succeeded", "job": "j", "offset": 1, "events": [], "result": {"release": 7}}
BROKEN = AnsibleConnectionFailure("no route to host")


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_action, "POLL_SECONDS", 0)


def test_it_is_asked_again_until_the_host_is_back() -> None:
    assert Following([BROKEN, BROKEN, DONE])._follow("j", {}) == {"release": 7}


def test_a_host_that_stays_away_is_a_failure_that_says_what_goes_on() -> None:
    end = Following([BROKEN])._follow("j", {})
    assert end["failed"] is True
    assert "unreachable" not in end
    assert "goes on by itself" in end["msg"]
    assert "slipway follow j" in end["msg"]


def test_a_refusal_of_the_host_is_final() -> None:
    assert Following([{"failed": True, "msg": "no such job"}])._follow("j", {})["msg"] == "no such job"


def test_the_end_counts_as_told_only_once_it_has_arrived() -> None:
    following = Following([BROKEN, DONE])
    following._follow("j", {})
    assert [asked.get("tell", True) for asked in following.asked] == [False, False, True]
