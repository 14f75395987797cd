# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import sys

import pytest

from ansible_collections.slipway.vps.plugins.module_utils.common import units
from ansible_collections.slipway.vps.plugins.module_utils.probe.context import Context
from ansible_collections.slipway.vps.plugins.module_utils.probe.registry import TYPES
from ansible_collections.slipway.vps.plugins.module_utils.probe.spec import parse
from ansible_collections.slipway.vps.plugins.module_utils.probe.types import systemd
from ansible_collections.slipway.vps.plugins.module_utils.probe.types.container import Container

HEALTHY = {"State": {"Status": "running", "Health": {"Status": "healthy"}}, "RestartCount": 0}


def test_disk(probe):
    good = probe(type="disk", target="/", warn_percent=101, fail_percent=101)
    assert good.status == "ok"
    assert 0 < good.observed["used_percent"] <= 100 and good.observed["free_bytes"] > 0
    assert probe(type="disk", target="/", warn_percent=0, fail_percent=101).status == "warn"
    full = probe(type="disk", target="/", fail_percent=0)
    assert full.status == "fail" and "docker system df" in full.hint
    assert probe(type="disk", target="/", warn_percent=101, fail_percent=101, fail_free_bytes=1 << 60).status == "fail"
    assert probe(type="disk", target="/nonexistent").message == "No such file or directory"


def test_memory(probe):
    assert probe(type="memory", warn_percent=101, fail_percent=101).status == "ok"
    assert probe(type="memory", fail_percent=0).status == "fail"


def test_command(probe):
    good = probe(type="command", argv=[sys.executable, "-c", "print('fine')"], stdout_matches="^fine$")
    assert (good.status, good.message) == ("ok", "ended with status 0")
    script = "import os, sys; sys.exit(os.environ['WORD'])"
    bad = probe(type="command", argv=[sys.executable, "-c", script], environment={"WORD": "hunter22"})
    assert bad.message == "ended with status 1 instead of 0: ***"
    endless = probe(type="command", argv=["sleep", "60"], timeout=0.3)
    assert endless.status == "fail" and endless.latency_ms < 1000
    assert probe(type="command", argv=["/nonexistent"]).message == (
        "The program /nonexistent cannot be started: No such file or directory."
    )


@pytest.mark.parametrize(
    ("changes", "options", "expected"),
    [
        ({}, {}, ("ok", "is healthy")),
        ({"State": {"Status": "running"}}, {}, ("ok", "is running")),
        ({"State": {"Status": "running"}}, {"healthy": True}, ("fail", "has no health check")),
        ({"State": {"Status": "running", "Health": {"Status": "unhealthy"}}}, {}, ("fail", "is unhealthy")),
        (
            {"State": {"Status": "running", "Health": {"Status": "starting"}}},
            {},
            ("warn", "is running, its health check has not passed yet"),
        ),
        (
            {"State": {"Status": "exited", "ExitCode": 137, "OOMKilled": True}},
            {},
            ("fail", "is exited (exit status 137, killed for lack of memory)"),
        ),
        ({"RestartCount": 2}, {}, ("ok", "is healthy, restarted 2 times")),
        ({"RestartCount": 3}, {}, ("warn", "is healthy, restarted 3 times")),
        ({"RestartCount": 9}, {"restarts_fail": 9}, ("fail", "is healthy, restarted 9 times")),
    ],
)
def test_verdicts_about_a_container(changes, options, expected):
    probe = parse({"type": "container", "target": "api", **options}, TYPES, {})
    assert Container(probe).verdict({**HEALTHY, **changes}) == expected


@pytest.mark.parametrize(
    ("seconds", "text"), [(5, "5 s"), (119, "119 s"), (150, "2 min"), (7200, "2 h"), (86400, "24 h"), (200000, "2 d")]
)
def test_spans_for_people(seconds, text):
    assert systemd.span(seconds) == text


def timer_outcome(state, started, monkeypatch, **options):
    """Judge a timer by what systemd said about it and about the unit that it starts."""
    probe = parse({"type": "systemd", "target": "backup.timer", **options}, TYPES, {})
    monkeypatch.setattr(systemd, "show", lambda _units, _timeout: [started])
    return systemd.Systemd(probe)._timer(
        {"Unit": "backup.service", "ActiveEnterTimestamp": "", **state}, {}, Context(1, 1)
    )


def test_timers(monkeypatch):
    monkeypatch.setattr(units.time, "time", lambda: 100_000.0)
    fine = {"ActiveState": "inactive", "Result": "success"}
    fired = {"LastTriggerUSec": "@96400"}
    assert timer_outcome(fired, fine, monkeypatch).message == "armed, fired 60 min ago"
    late = timer_outcome(fired, fine, monkeypatch, max_age=600)
    assert (late.status, late.message) == ("fail", "has not fired for 60 min (limit 10 min)")
    never = {"LastTriggerUSec": "", "ActiveEnterTimestamp": "@99990"}
    assert timer_outcome(never, fine, monkeypatch, max_age=600).message == "armed, has not fired yet"
    failed = timer_outcome(fired, {"ActiveState": "failed", "Result": "exit-code"}, monkeypatch)
    assert failed.message == "backup.service failed (exit-code)"


def test_several_units_are_asked_for_at_once(tmp_path, monkeypatch):
    program = tmp_path / "systemctl"
    program.write_text("#!/bin/sh\nprintf 'Id=a.timer\\nActiveState=active\\n\\nId=b.service\\nResult=oom-kill\\n'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    first, second = units.show(["a.timer", "b.service"], 5.0)
    assert (first["Id"], first["ActiveState"], first["Result"]) == ("a.timer", "active", "")
    assert (second["Id"], second["Result"]) == ("b.service", "oom-kill")
