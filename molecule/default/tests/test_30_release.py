# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Two releases and a rollback under a visitor's eyes."""

from __future__ import annotations

import json
from typing import Any

from slipway_lab import Visitor, run_playbook

CONTENT = b"a picture that must not get lost\n" * 1000


def release(web: Any) -> str:
    return str(web.ask("api.shop.test", "/version").json()["release"])


def test_an_upload_survives_two_releases_and_a_rollback(web: Any, playbook: Any) -> None:
    assert release(web) == "1.0.0"
    assert web.ask("api.shop.test", "/uploads/picture.png", method="PUT", body=CONTENT).status == 201
    with Visitor(web, "alpha.shop.test") as visitor:
        for number in ("1.0.1", "1.1.0"):
            playbook("deploy", "--extra-vars", f"stack_release={number}")
            assert release(web) == number
            assert web.ask("api.shop.test", "/uploads/picture.png").body == CONTENT
        playbook("rollback")
        assert release(web) == "1.0.1"
        assert web.ask("api.shop.test", "/uploads/picture.png").body == CONTENT
    assert visitor.asked > 100
    assert visitor.bad == []


def test_a_broken_release_never_gets_traffic(web: Any) -> None:
    before = release(web)
    with Visitor(web, "alpha.shop.test") as visitor:
        play = run_playbook("deploy", "--extra-vars", "stack_release=1.2.0-crash")
    assert play.code != 0
    assert visitor.bad == []
    assert release(web) == before


def test_going_back_to_a_named_release(web: Any, vps: Any, playbook: Any) -> None:
    playbook("rollback", "--extra-vars", "stack_rollback_to=1.0.0")
    assert release(web) == "1.0.0"
    state = json.loads(vps.file("/srv/shop/state.json").content_string)
    assert state
    # What the inventory says is what serves, so there is nothing left to do.
    play = playbook("deploy")
    assert play.changed == {"shop1": 0}, play.changed_tasks()
