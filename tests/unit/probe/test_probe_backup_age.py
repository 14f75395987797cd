# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from ansible_collections.slipway.vps.plugins.module_utils.backup import record, spec
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
    limits = {"warn_hours": 26, "fail_hours": options.get("fail_hours", 50)}
    outcome = backup_age.BackupAge(parse(definition, TYPES, {})).judge(known, NOW, **limits)
    assert (outcome.status, outcome.message) == expected


def test_it_reads_what_the_backup_engine_writes(probe, tmp_path, monkeypatch):
    monkeypatch.setattr(spec, "STATE_DIRECTORY", tmp_path)
    assert probe(type="backup_age", target="shop").message == "there is no backup yet"
    (tmp_path / "shop" / "postgres").mkdir(parents=True)
    time = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    write_json(tmp_path / "shop" / "postgres" / record.LAST, {"success": {**GOOD, "time": time}})
    good = probe(type="backup_age", target="shop")
    assert (good.status, good.observed["id"]) == ("ok", GOOD["id"])
    (tmp_path / "shop" / "postgres" / record.LAST).write_text("[]")
    assert "cannot be read" in probe(type="backup_age", target="shop").message


def aged(place, kind, hours):
    then = datetime.now(timezone.utc) - timedelta(hours=hours)
    (place / "shop" / kind).mkdir(parents=True, exist_ok=True)
    success = {**GOOD, "time": then.strftime("%Y-%m-%dT%H:%M:%SZ")}
    write_json(place / "shop" / kind / record.LAST, {"success": success})


def test_the_limits_follow_the_timer_of_each_kind(probe, tmp_path, monkeypatch):
    monkeypatch.setattr(spec, "STATE_DIRECTORY", tmp_path)
    monkeypatch.setattr(spec, "CONFIG_DIRECTORY", tmp_path)
    timers = {"slipway-backup@": "hourly", "slipway-backup-redis@": "*-*-* 00/6:15:00"}
    seen = []
    for kind, hours in (("postgres", 2), ("postgres", 3.5), ("postgres", 5), ("redis", 7), ("redis", 9), ("redis", 15)):
        write_json(tmp_path / "shop.json", {"watch": {"timers": timers, "random_delay": "30min"}})
        aged(tmp_path, kind, hours)
        seen.append(probe(type="backup_age", target="shop", kind=kind).status)
    assert seen == ["ok", "warn", "fail", "ok", "warn", "fail"]
    assert probe(type="backup_age", target="shop", kind="redis", warn_hours=16, fail_hours=20).status == "ok"
    write_json(tmp_path / "shop.json", {"watch": {"timers": timers, "max_age_hours": 16}})
    assert probe(type="backup_age", target="shop", kind="redis").status == "ok"
