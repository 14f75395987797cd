# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A folder, named volumes, init.sql and an env_file are the same in both slots and outlive releases."""

from __future__ import annotations

from typing import Any

import pytest


def name_of(ledger: Any, host: str) -> str:
    answer = ledger.server.web.ask(host, "/version")
    assert answer.status == 200, answer.text
    return str(answer.json()["name"])


# The short form has an upload that outlives them in scenario default.
@pytest.mark.long
def test_uploads_survive_two_releases_and_a_rollback_and_a_changed_file_makes_a_release(ledger: Any) -> None:
    ledger.upload(ledger.api, "in-a-folder.txt", b"folder")
    ledger.upload(ledger.web, "in-a-volume.txt", b"volume")
    slots = []
    names = []
    for step in ("a new version", "a changed file", "back"):
        if step == "a new version":
            ledger.settings["stack_release"] = "1.0.1"
        if step == "a changed file":
            ledger.settings["stack_files"][2]["content"] = "APP_NAME=The New Ledger\n"
        ledger.playbook("rollback" if step == "back" else "deploy")
        slots.append(ledger.state()["active"]["slot"])
        names += [name_of(ledger, ledger.api), name_of(ledger, ledger.web)]
        assert ledger.uploaded(ledger.api, "in-a-folder.txt") == b"folder"
        assert ledger.uploaded(ledger.web, "in-a-volume.txt") == b"volume"
    assert slots == ["green", "blue", "green"]
    # Files are the stack's, not a release's: the slot that came back reads them as they are now.
    assert names == ["The Ledger", "The Ledger", *["The New Ledger"] * 4]
    assert ledger.sql("SELECT count(*) FROM started") == "1"
    assert ledger.run("cat /srv/ledger/files/uploads/in-a-folder.txt") == "folder"
