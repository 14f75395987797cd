# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A folder, named volumes, init.sql and an env_file are the same in both slots and outlive releases."""

from __future__ import annotations

from typing import Any


def name_of(ledger: Any, host: str) -> str:
    answer = ledger.server.web.ask(host, "/version")
    assert answer.status == 200, answer.text
    return str(answer.json()["name"])


def test_uploads_survive_two_releases_and_a_rollback(ledger: Any) -> None:
    ledger.upload(ledger.api, "in-a-folder.txt", b"folder")
    ledger.upload(ledger.web, "in-a-volume.txt", b"volume")
    slots = []
    for release in ("1.0.1", "1.1.0", ""):
        if release:
            ledger.settings["stack_release"] = release
            ledger.playbook("deploy")
        else:
            ledger.playbook("rollback")
        slots.append(ledger.state()["active"]["slot"])
        assert ledger.uploaded(ledger.api, "in-a-folder.txt") == b"folder"
        assert ledger.uploaded(ledger.web, "in-a-volume.txt") == b"volume"
        assert name_of(ledger, ledger.api) == name_of(ledger, ledger.web) == "The Ledger"
    assert slots == ["green", "blue", "green"]
    assert ledger.sql("SELECT count(*) FROM started") == "1"
    assert ledger.run("cat /srv/ledger/files/uploads/in-a-folder.txt") == "folder"


def test_a_changed_file_is_a_new_release(ledger: Any) -> None:
    ledger.settings["stack_release"] = "1.0.1"
    ledger.settings["stack_files"][2]["content"] = "APP_NAME=The New Ledger\n"
    before = ledger.state()["active"]["release"]
    ledger.playbook("deploy")
    assert ledger.state()["active"]["release"] > before
    assert name_of(ledger, ledger.api) == name_of(ledger, ledger.web) == "The New Ledger"
