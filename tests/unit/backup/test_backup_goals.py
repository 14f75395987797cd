# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What was promised, and what is made of it."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
import yaml

from ansible_collections.slipway.vps.plugins.module_utils.backup import drill, manifest, schedule, spec
from ansible_collections.slipway.vps.plugins.module_utils.backup.goals import Goals, span
from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError
from ansible_collections.slipway.vps.plugins.module_utils.common.files import write_json

ROOT = Path(__file__).resolve().parents[3]
HOUR = 3600.0
GOOD = {
    "4h": 4 * HOUR,
    "15min": 900,
    "1h 30min": 5400,
    "90": 90,
    "15 s": 15,
    "1d": 24 * HOUR,
    "1.5 hours": 5400,
    "": None,
}
BAD = ("soon", "4x", "h", "-5", "15min!", "4h soon")


@pytest.mark.parametrize(("text", "seconds"), GOOD.items())
def test_goals_are_time_spans(text, seconds):
    assert Goals.from_dict({"rto": text}) == Goals(rto=seconds)


@pytest.mark.parametrize("text", BAD)
def test_what_is_none_is_refused(text):
    with pytest.raises(SlipwayError, match=r"backup_goal_rpo is .* no time span"):
        Goals.from_dict({"rpo": text})


def test_the_role_refuses_the_same():
    tasks = yaml.safe_load((ROOT / "roles/backup/tasks/preflight.yml").read_text())
    [that] = [task["ansible.builtin.assert"]["that"] for task in tasks if "no time span" in str(task)]
    pattern = re.compile(re.search(r"match\('(.*)'\)", that)[1])
    assert all(pattern.match(text) for text in GOOD)
    assert not [text for text in BAD if pattern.match(text)]


def test_nothing_promised_nothing_judged():
    assert Goals.from_dict(None).judge(99999, 99999) == ([], [])
    assert Goals.from_dict(None).told() == {}


def test_each_goal_is_judged_beside_what_was_measured():
    goals = Goals(rto=4 * HOUR, rpo=900)
    sentences, missed = goals.judge(1.7, 12.3)
    assert sentences == [
        "RTO: the restore took 1.7 s; the goal of 4 h is met.",
        "RPO: 12.3 s would be missing if the server were lost now; the goal of 15 min is met.",
    ]
    assert missed == []
    sentences, missed = goals.judge(5 * HOUR, 1000)
    assert len(sentences) == 2 and missed == sentences
    assert goals.judge(1, None) == (["RTO: the restore took 1 s; the goal of 4 h is met."], [])


def test_spans_are_read_by_people():
    assert [span(seconds) for seconds in (1.66, 15, 900, 5400, 24 * HOUR)] == [
        "1.7 s",
        "15 s",
        "15 min",
        "1.5 h",
        "1 d",
    ]


def test_a_dump_older_than_its_rpo_is_late_unless_the_log_is_in_the_bucket(tmp_path, monkeypatch):
    monkeypatch.setattr(spec, "CONFIG_DIRECTORY", tmp_path)

    def watch(**timers):
        nightly = {"slipway-backup@": "*-*-* 02:00:00", **timers}
        data = {"watch": {"timers": nightly, "random_delay": "30min"}, "goals": {"rpo": "1h"}}
        write_json(tmp_path / "shop.json", data)
        return schedule.watch("shop")

    alone = watch()
    assert (alone.max_age("postgres"), alone.lost_age("postgres")) == (HOUR, HOUR)
    assert alone.max_age("files") == 26 * HOUR
    shipped = watch(**{schedule.BASE: "*-*-* 03:30:00"})
    assert shipped.max_age("postgres") == 26 * HOUR
    assert shipped.max_lag == 300
    data = {"watch": {"timers": {}}, "goals": {"rpo": "15s"}}
    write_json(tmp_path / "shop.json", data)
    assert schedule.watch("shop").max_lag == 15


def test_a_drill_tells_what_would_be_lost_now(tmp_path, monkeypatch):
    monkeypatch.setattr(spec, "CONFIG_DIRECTORY", tmp_path)
    monkeypatch.setattr(drill, "kinds", lambda _stack: ["postgres"])
    made = datetime.now(timezone.utc) - timedelta(hours=2)
    known = type("Known", (), {"snapshot_time": manifest.moment(made)})()
    database, files = (type("Spec", (), {"stack": "shop", "kind": kind})() for kind in ("postgres", "files"))
    assert drill._loss(database, known) == pytest.approx(2 * HOUR, abs=5)
    assert drill._loss(files, known) is None
    covered = (datetime.now(timezone.utc) - timedelta(seconds=7)).isoformat()
    monkeypatch.setattr(drill, "kinds", lambda _stack: ["postgres", "base"])
    monkeypatch.setattr(drill.wal_status, "read", lambda _stack: {"covered": covered})
    assert drill._loss(database, known) == pytest.approx(7, abs=5)
