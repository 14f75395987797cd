# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The first job puts a bare server into production, and says what serves and where."""

from __future__ import annotations

from typing import Any


def test_the_first_job_tells_what_serves_and_where(server: Any) -> None:
    told = server.site.artifacts
    release = told["release"][server.name]
    assert {key: release[key] for key in ("stack", "name", "number", "slot", "changed")} == {
        "stack": "shop",
        "name": "1.0.0",
        "number": 1,
        "slot": "blue",
        "changed": True,
    }
    zone = server.zone
    assert told["urls"] == {server.name: [f"https://admin.{zone}", f"https://api.{zone}", f"https://{zone}"]}
    assert told["health"][server.name]["status"] in ("ok", "warn")
    assert told["health"][server.name]["probes"]


def test_the_history_names_who_started_the_job(server: Any) -> None:
    assert '"by": "admin with AWX job 1"' in server.vps.file("/srv/shop/releases.jsonl").content_string
