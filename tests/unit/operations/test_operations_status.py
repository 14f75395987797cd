# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
from datetime import datetime, timezone
from typing import Any

from ansible_collections.slipway.vps.plugins.module_utils.common.files import write_json
from ansible_collections.slipway.vps.plugins.module_utils.common.lock import FileLock, boot_id
from ansible_collections.slipway.vps.plugins.module_utils.operations import status

NOW = datetime(2026, 11, 21, 8, 0, tzinfo=timezone.utc)
FOUND: dict[str, Any] = {
    "stack": "shop",
    "release": {"number": 7, "name": "1.4.2", "slot": "green", "since": "2026-11-21T05:00:00Z", "by": "ops"},
    "phase": "idle",
    "under_way": None,
    "slots": {
        "blue": {"release": 6, "containers": []},
        "green": {
            "release": 7,
            "containers": [
                {
                    "name": "api-1",
                    "service": "api",
                    "state": "running",
                    "health": "healthy",
                    "restarts": 0,
                    "started": "",
                }
            ],
        },
    },
    "last": {
        "kind": "deploy",
        "release": 8,
        "name": "1.4.3",
        "result": "failed",
        "phase": "probe",
        "reason": "no answer",
        "at": "2026-11-21T06:00:00Z",
        "by": "ops",
        "seconds": 12.5,
    },
    "maintenance": True,
    "lock": {"pid": 12, "since": "2026-11-21T07:00:00Z", "what": "deploy of shop", "by": "ops"},
    "warnings": ["The service api restarts."],
}


def test_a_stack_on_a_screen():
    text = "\n".join(status.describe(FOUND, NOW))
    assert "release 1.4.2 (number 7) serves from slot green since 2026-11-21T05:00:00Z (3 hours)" in text
    assert (
        "deploy of 1.4.3 (number 8) failed at 2026-11-21T06:00:00Z after 12.5 s, by ops; phase probe: no answer" in text
    )
    assert "green  api-1      running  healthy  0" in text
    assert "maintenance  on" in text
    assert "deploy of shop (pid 12) since 2026-11-21T07:00:00Z" in text
    assert "warning      The service api restarts." in text


def test_a_stack_without_a_release():
    bare = {**FOUND, "release": None, "last": None, "slots": {}, "lock": None, "maintenance": False, "warnings": []}
    assert status.describe(bare, NOW) == ["shop: no release serves", "  maintenance  off", "  lock         free"]


def test_a_release_under_way_is_shown():
    moving = {**FOUND, "phase": "start", "under_way": {"release": 8, "kind": "deploy", "started": "", "by": "ops"}}
    assert "  under way    deploy of number 8, at phase start" in status.describe(moving, NOW)


def test_ages():
    assert status.ago("2026-11-21T07:59:30Z", NOW) == "30 seconds"
    assert status.ago("2026-11-21T07:50:00Z", NOW) == "10 minutes"
    assert status.ago("2026-11-15T07:50:00Z", NOW) == "6 days"


def test_only_a_living_process_of_this_boot_holds_the_lock(tmp_path):
    lock = FileLock(tmp_path / "release.lock", what="deploy of shop")
    assert status.holder(lock) is None
    with lock:
        found = status.holder(lock)
        assert found is not None
        assert (found["pid"], found["what"]) == (os.getpid(), "deploy of shop")
    write_json(lock.holder_path, {"pid": 2**22 + 1, "boot_id": boot_id(), "what": "x", "since": ""})
    assert status.holder(lock) is None
    write_json(lock.holder_path, {"pid": os.getpid(), "boot_id": "another boot", "what": "x", "since": ""})
    assert status.holder(lock) is None
