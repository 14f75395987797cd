# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from ansible_collections.slipway.vps.plugins.module_utils.backup.wal import options, status
from ansible_collections.slipway.vps.plugins.module_utils.probe.registry import TYPES
from ansible_collections.slipway.vps.plugins.module_utils.probe.spec import parse
from ansible_collections.slipway.vps.plugins.module_utils.probe.types import wal_lag

NOW = datetime(2026, 3, 2, 12, tzinfo=timezone.utc)
GOOD = {
    "covered": "2026-03-02T11:59:56.500000+00:00",
    "lag_bytes": 8192,
    "spool_bytes": 33554432,
    "slot": {"status": "reserved", "safe_bytes": 4294967296, "active": True},
    "base_wanted": "",
    "failure": "",
}


@pytest.mark.parametrize(
    ("known", "expected", "words"),
    [
        ({}, "fail", "nothing was shipped yet"),
        ({"failure": "The bucket refuses."}, "fail", "The bucket refuses."),
        (GOOD, "ok", "8.19 kB behind"),
        ({**GOOD, "covered": "2026-03-02T11:59:20+00:00"}, "warn", "behind"),
        ({**GOOD, "covered": "2026-03-02T11:50:00+00:00", "failure": "No bucket."}, "fail", "No bucket."),
        ({**GOOD, "lag_bytes": 300 * 1024 * 1024}, "warn", "315 MB behind"),
        ({**GOOD, "slot": {"status": "unreserved"}}, "warn", "gives up the slot"),
        ({**GOOD, "base_wanted": "there is none yet"}, "warn", "a base backup is needed"),
    ],
)
def test_the_verdict_follows_what_the_shipper_noted(known, expected, words):
    outcome = wal_lag.WalLag(parse({"type": "wal_lag", "target": "shop"}, TYPES, {})).judge(known, NOW)
    assert outcome.status == expected and words in outcome.message
    assert bool(outcome.hint) == (expected != "ok")


def test_it_reads_the_status_that_the_shipper_writes(probe, tmp_path, monkeypatch):
    monkeypatch.setattr(options, "SPOOL_DIRECTORY", tmp_path)
    assert probe(type="wal_lag", target="shop").status == "fail"
    (tmp_path / "shop").mkdir()
    now = datetime.now(timezone.utc).isoformat()
    status.Status("shop", covered=now, lag_bytes=0, slot={"status": "reserved"}).write(tmp_path / "shop")
    assert probe(type="wal_lag", target="shop").status == "ok"
    (tmp_path / "shop" / "status.json").write_text("{")
    assert "cannot be read" in probe(type="wal_lag", target="shop").message


def test_what_was_promised_is_the_limit_where_it_is_less():
    probe = wal_lag.WalLag(parse({"type": "wal_lag", "target": "shop"}, TYPES, {}))
    behind = {**GOOD, "covered": "2026-03-02T11:59:40+00:00"}
    assert probe.judge(behind, NOW).status == "ok"
    assert probe.judge(behind, NOW, 15).status == "warn"
    assert probe.judge(behind, NOW, 900).status == "ok"
