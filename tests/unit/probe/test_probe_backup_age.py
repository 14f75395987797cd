# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from ansible_collections.slipway.vps.plugins.module_utils.backup import record
from ansible_collections.slipway.vps.plugins.module_utils.common.files import write_json
from ansible_collections.slipway.vps.plugins.module_utils.probe.registry import TYPES
from ansible_collections.slipway.vps.plugins.module_utils.probe.spec import parse
from ansible_collections.slipway.vps.plugins.module_utils.probe.types import backup_age

NOW = datetime(2026, 3, 2, 12, tzinfo=timezone.utc)
GOOD = {"id": "20260302T030000Z-abcdef", "time": "2026-03-02T03:00:00Z", "bytes": 12_340_000}
OLD = {**GOOD, "time": "2026-03-01T03:00:00Z"}
FAILED = {"what": "backup", "time": "2026-03-02T04:00:00Z", "message": "The bucket refuses."}
READ = {"id": GOOD["id"], "time": "2026-03-02T06:00:00Z"}


@pytest.mark.parametrize(
    ("known", "options", "expected"),
    [
        ({}, {}, ("fail", "there is no backup yet")),
        (
            {"failure": FAILED},
            {},
            ("fail", "there is no backup yet; the last attempt said: backup: The bucket refuses."),
        ),
        ({"success": GOOD}, {}, ("ok", "9 h old, 12.3 MB, never read back")),
        ({"success": GOOD, "verified": READ}, {}, ("ok", "9 h old, 12.3 MB, read back 6 h ago")),
        ({"success": GOOD, "verified": READ}, {"verified_hours": 5}, ("warn", "9 h old, 12.3 MB, read back 6 h ago")),
        ({"success": GOOD}, {"verified_hours": 50}, ("warn", "9 h old, 12.3 MB, never read back")),
        (
            {"success": GOOD, "failure": FAILED},
            {},
            ("warn", "9 h old, 12.3 MB, but since then: backup: The bucket refuses."),
        ),
        (
            {"success": GOOD, "failure": {**FAILED, "time": "2026-03-01T04:00:00Z"}},
            {},
            ("ok", "9 h old, 12.3 MB, never read back"),
        ),
        ({"success": OLD}, {}, ("warn", "33 h old, 12.3 MB")),
        ({"success": OLD}, {"fail_hours": 30}, ("fail", "33 h old, 12.3 MB")),
    ],
)
def test_verdicts(known, options, expected):
    definition = {"type": "backup_age", "target": "shop", **options}
    outcome = backup_age.BackupAge(parse(definition, TYPES, {})).judge(known, NOW)
    assert (outcome.status, outcome.message) == expected


def test_it_reads_what_the_backup_engine_writes(probe, tmp_path, monkeypatch):
    monkeypatch.setattr(backup_age, "STATE_DIRECTORY", tmp_path)
    assert probe(type="backup_age", target="shop").message == "there is no backup yet"
    (tmp_path / "shop" / "postgres").mkdir(parents=True)
    time = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    write_json(tmp_path / "shop" / "postgres" / record.LAST, {"success": {**GOOD, "time": time}})
    good = probe(type="backup_age", target="shop")
    assert (good.status, good.observed["id"]) == ("ok", GOOD["id"])
    (tmp_path / "shop" / "postgres" / record.LAST).write_text("[]")
    assert "cannot be read" in probe(type="backup_age", target="shop").message
