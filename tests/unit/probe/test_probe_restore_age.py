# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from ansible_collections.slipway.vps.plugins.module_utils.backup import drill_result, manifest, spec
from ansible_collections.slipway.vps.plugins.module_utils.backup.drill_result import Drill
from ansible_collections.slipway.vps.plugins.module_utils.postgres.options import PostgresOptions
from ansible_collections.slipway.vps.plugins.module_utils.probe.registry import TYPES
from ansible_collections.slipway.vps.plugins.module_utils.probe.spec import parse
from ansible_collections.slipway.vps.plugins.module_utils.probe.types import restore_age

NOW = datetime(2026, 3, 2, 12, tzinfo=timezone.utc)
GOOD = {
    "backup": "20260301T020000Z-abcdef",
    "time": "2026-03-01T12:00:00Z",
    "result": "good",
    "restore_seconds": 90.0,
    "reason": "",
}
BAD = {**GOOD, "time": "2026-03-02T06:00:00Z", "result": "failed", "reason": "The rows differ."}
SHOP = spec.Spec(stack="shop", postgres=PostgresOptions())


@pytest.mark.parametrize(
    ("known", "hours", "expected"),
    [
        ({}, 100, ("warn", "no backup was ever restored to prove it")),
        ({"last": GOOD, "good": GOOD}, 25, ("ok", "20260301T020000Z-abcdef was restored 24 h ago, in 90 s")),
        ({"last": GOOD, "good": GOOD}, 24, ("fail", "20260301T020000Z-abcdef was restored 24 h ago, in 90 s")),
        ({"last": BAD, "good": GOOD}, 100, ("fail", "the last drill failed: The rows differ.")),
        ({"last": BAD, "good": None}, 100, ("fail", "the last drill failed: The rows differ.")),
    ],
)
def test_verdicts(known, hours, expected):
    probe = restore_age.RestoreAge(parse({"type": "restore_age", "target": "shop"}, TYPES, {}))
    outcome = probe.judge(known, NOW, hours)
    assert (outcome.status, outcome.message) == expected


def test_it_reads_what_a_drill_notes(probe, tmp_path, monkeypatch):
    monkeypatch.setattr(spec, "STATE_DIRECTORY", tmp_path)
    monkeypatch.setattr(spec, "STATE_DIRECTORY", tmp_path)
    assert probe(type="restore_age", target="shop").status == "warn"
    now = datetime.now(timezone.utc)
    drill = Drill.begin(SHOP, now)
    drill.backup, drill.time, drill.result = GOOD["backup"], manifest.moment(now), drill_result.GOOD
    drill_result.note(SHOP, drill)
    good = probe(type="restore_age", target="shop")
    assert (good.status, good.observed["id"]) == ("ok", GOOD["backup"])
    worse = Drill.begin(SHOP, now)
    worse.time, worse.reason = manifest.moment(now), "The image cannot be pulled."
    drill_result.note(SHOP, worse)
    assert "the last drill failed: The image" in probe(type="restore_age", target="shop").message
    (tmp_path / "shop" / "postgres" / drill_result.NOTE).write_text("[]")
    assert "cannot be read" in probe(type="restore_age", target="shop").message
