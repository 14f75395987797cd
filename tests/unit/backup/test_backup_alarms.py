# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is an alarm, seen without any backup that runs: from records, timers and the shipper's status."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest
from prometheus_client.parser import text_string_to_metric_families as parse_metrics

from ansible_collections.slipway.vps.plugins.module_utils.alerts import ledger, options
from ansible_collections.slipway.vps.plugins.module_utils.backup import (
    alarms,
    check,
    commands,
    metrics,
    record,
    schedule,
    spec,
)
from ansible_collections.slipway.vps.plugins.module_utils.backup.alarms import Facts
from ansible_collections.slipway.vps.plugins.module_utils.backup.schedule import HOUR, Watch
from ansible_collections.slipway.vps.plugins.module_utils.backup.wal import options as wal_options
from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError
from ansible_collections.slipway.vps.tests.unit.alerts.conftest import serve

__all__ = ["serve"]

NOW = datetime(2026, 3, 2, 12, tzinfo=timezone.utc)
MADE = {
    "id": "20260302T030000Z-abcdef",
    "time": "2026-03-02T03:00:00Z",
    "finished": "2026-03-02T03:05:00Z",
    "seconds": 300.5,
    "bytes": 1000,
    "dump_bytes": 4000,
    "rows": 12,
}
READ = {"id": MADE["id"], "time": "2026-03-02T06:00:00Z"}
TOLD = {"what": "backup", "time": "2026-03-02T04:00:00Z", "message": "The bucket refuses."}
ARMED = {"LoadState": "loaded", "ActiveState": "active", "UnitFileState": "enabled", "Result": "success"}
IDLE = {**ARMED, "ActiveState": "inactive", "UnitFileState": "static", "InactiveEnterTimestamp": ""}
TIMERS = {"slipway-backup@": "*-*-* 02:00:00", "slipway-verify@": "*-*-* 05:00:00"}
TIMER, SERVICE = "slipway-backup@shop.timer", "slipway-backup@shop.service"


def facts(known=None, units=None, **more):
    shown = {
        f"{unit}shop{end}": ARMED if end == ".timer" else IDLE for unit in TIMERS for end in (".timer", ".service")
    }
    given = {
        "stack": "shop",
        "watch": Watch(TIMERS),
        "configured": NOW - timedelta(days=9),
        "last": {"postgres": {"success": MADE, "verified": READ} if known is None else known},
        "units": {**shown, **(units or {})},
        "max_age": {"postgres": 26 * HOUR},
        "verify_age": 26 * HOUR,
    }
    return Facts(**{**given, **more})


def found(*args, now=NOW, **more):
    return {alarm.key: alarm for alarm in alarms.find(facts(*args, **more), now)}


def test_all_is_well():
    assert found() == {}


def test_a_backup_that_failed_is_an_alarm_until_one_succeeds():
    failing = {"success": MADE, "verified": READ, "failing": {"backup": TOLD}}
    assert "The bucket refuses." in found(failing)["backup.postgres"].summary


def test_a_backup_that_is_too_old_is_an_alarm_although_nothing_failed():
    later = found(now=NOW + timedelta(hours=18))
    assert later["age.postgres"].summary == "The last good backup of kind postgres is 27 h old, the limit is 26 h."
    assert "age.postgres" not in found(now=NOW + timedelta(hours=16))


def test_no_backup_at_all_is_an_alarm_once_there_was_time_for_one():
    assert found({})["age.postgres"].summary == "There is no backup of kind postgres, the limit is 26 h."
    assert found({}, configured=NOW - timedelta(hours=20)) == {}


@pytest.mark.parametrize(
    ("state", "summary"),
    [
        ({"LoadState": "masked", "ActiveState": "inactive"}, "slipway-backup@shop.timer is masked."),
        ({"LoadState": "not-found", "ActiveState": "inactive"}, "slipway-backup@shop.timer is not-found."),
        ({"ActiveState": "inactive"}, "slipway-backup@shop.timer is stopped (inactive)."),
        ({"ActiveState": "failed"}, "slipway-backup@shop.timer is stopped (failed)."),
        ({"UnitFileState": "disabled"}, "slipway-backup@shop.timer does not start at boot (disabled)."),
    ],
)
def test_a_timer_that_fires_no_more_is_an_alarm_of_its_own(state, summary):
    [alarm] = found(units={TIMER: {**ARMED, **state}}).values()
    assert (alarm.key, alarm.summary) == (f"unit.{TIMER}", summary)
    assert alarm.severity == ("warning" if "boot" in summary else "critical")


def test_a_unit_that_was_killed_before_it_could_say_anything_is_an_alarm():
    ended = datetime(2026, 3, 2, 11, tzinfo=timezone.utc).timestamp()
    killed = {**IDLE, "ActiveState": "failed", "Result": "oom-kill", "InactiveEnterTimestamp": f"@{ended:.0f}"}
    units = {SERVICE: killed}
    assert found(units=units)[f"unit.{SERVICE}"].summary == f"{SERVICE} ended badly (oom-kill)."
    # What the run told itself is told once.
    assert set(found({"success": MADE, "verified": READ, "failing": {"backup": TOLD}}, units)) == {"backup.postgres"}
    # What another work told is another matter.
    assert set(found({"success": MADE, "failing": {"verify": TOLD}}, units)) == {"verify.postgres", f"unit.{SERVICE}"}
    # Somebody made a good one by hand since.
    by_hand = {"success": {**MADE, "finished": "2026-03-02T11:30:00Z"}, "verified": READ}
    assert found(by_hand, units) == {}


def test_a_backup_that_nobody_reads_back_is_a_warning():
    assert found({"success": MADE}, now=NOW)["verified.postgres"].severity == "warning"
    assert found({"success": MADE, "confirmed": READ}) == {}
    assert (
        "28 h ago"
        in found({"success": MADE, "verified": READ}, max_age={"postgres": 99 * HOUR}, now=NOW + timedelta(hours=22))[
            "verified.postgres"
        ].summary
    )


def test_a_drill_that_nobody_makes_any_more_is_a_warning():
    drilled = {"success": MADE, "verified": READ, "restored": {"id": MADE["id"], "time": "2026-01-20T06:00:00Z"}}
    [alarm] = found(drilled, drill_age={"postgres": 36 * 24 * HOUR}).values()
    assert (alarm.key, alarm.severity) == ("restored.postgres", "warning")
    assert alarm.summary == "A backup of kind postgres was last restored to prove it 41 d ago, the limit is 36 d."
    never = {"success": MADE, "verified": READ}
    assert "never restored" in found(never, drill_age={"postgres": 24 * HOUR})["restored.postgres"].summary
    assert found(never) == {} == found(drilled, drill_age={"postgres": 50 * 24 * HOUR})
    # One that failed is told as that.
    failing = {**drilled, "failing": {"drill": TOLD}}
    assert set(found(failing, drill_age={"postgres": 24 * HOUR})) == {"drill.postgres"}


def test_a_goal_that_the_last_drill_missed_is_a_warning_and_its_unit_no_second_one():
    sentence = "RTO: the restore took 5 h; the goal of 4 h is missed."
    drilled = {"success": MADE, "verified": READ, "restored": {**READ, "missed": [sentence]}}
    ended = {
        "slipway-drill@shop.service": {"ActiveState": "failed", "InactiveEnterTimestamp": "", "Result": "exit-code"}
    }
    watch = Watch({**TIMERS, "slipway-drill@": "Sun *-*-01..07 06:30:00"})
    armed = {"slipway-drill@shop.timer": ARMED, **ended}
    [alarm] = found(drilled, armed, watch=watch, drill_age={"postgres": 36 * 24 * HOUR}).values()
    assert (alarm.key, alarm.severity) == ("goal.postgres.rto", "warning")
    assert alarm.summary == f"The last drill of kind postgres: {sentence}"


def test_a_log_that_is_not_shipped_is_an_alarm():
    unit = {"slipway-wal@shop.service": {**ARMED, "InactiveEnterTimestamp": ""}}
    shipped = {"covered": "2026-03-02T11:59:58.000000+00:00", "slot": {"status": "reserved"}}
    assert found(units=unit, wal=shipped) == {}
    late = found(units=unit, wal={**shipped, "covered": "2026-03-02T11:50:00+00:00", "failure": "It is away."})
    assert late["wal.lag"].summary == "The log in the bucket is 10 min behind the database. It is away."
    assert "holds nothing yet" in found(units=unit, wal={})["wal.lag"].summary
    assert found(units=unit, wal={**shipped, "slot": {"status": "lost"}})["wal.slot"].severity == "critical"
    gone = {"slipway-wal@shop.service": {**ARMED, "ActiveState": "inactive", "InactiveEnterTimestamp": ""}}
    assert set(found(units=gone, wal=shipped)) == {"unit.slipway-wal@shop.service"}


@pytest.mark.parametrize(
    ("calendar", "hours"),
    [
        ("*-*-* 02:00:00", 24),
        ("*-*-* 00/6:15:00", 6),
        ("hourly", 1),
        ("Mon..Fri *-*-* 02:00:00", 72),
        ("Mon..Fri *-*-* 08..18:00:00 UTC", 62),
        ("", 24),
        ("on some days", 24),
        ("--help", 24),
    ],
)
@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata"])
def test_the_limit_follows_the_timer(monkeypatch, calendar, hours, zone):
    monkeypatch.setenv("TZ", zone)
    assert schedule.gap(calendar) == hours * HOUR


def test_limits_of_a_kind():
    watch = schedule.from_dict(
        {"timers": {"slipway-backup-redis@": "*-*-* 00/6:15:00", "slipway-backup@": ""}, "random_delay": "30min"}
    )
    assert (watch.max_age("redis"), watch.lost_age("redis")) == (8 * HOUR, 14 * HOUR)
    assert (watch.max_age("postgres"), watch.lost_age("postgres")) == (26 * HOUR, 50 * HOUR)
    assert replace(watch, max_age_hours=3.0).max_age("redis") == 3 * HOUR
    with pytest.raises(SlipwayError, match="is not a timer of the backup"):
        schedule.from_dict({"timers": {"--now": "daily"}})


FULL = {
    "success": MADE,
    "verified": READ,
    "restored": READ,
    "failing": {"drill": TOLD},
    "failures": {"backup": 2, "drill": 1},
}


def parsed(text):
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in parse_metrics(text)
        for sample in family.samples
    }


def test_the_metrics_are_what_prometheus_reads():
    wal = {"covered": "2026-03-02T11:59:50+00:00", "lag_bytes": 77, "spool_bytes": 5}
    text = metrics.text(facts(FULL, wal=wal), 3, NOW)
    told = parsed(text)
    kind = ("shop", "postgres")
    assert told[("slipway_backup_last_success_timestamp_seconds", *kind)] == 1772420400
    assert told[("slipway_backup_duration_seconds", *kind)] == 300.5
    assert told[("slipway_backup_stored_bytes", *kind)] == 1000
    assert told[("slipway_backup_source_bytes", *kind)] == 4000
    assert told[("slipway_backup_rows", *kind)] == 12
    assert told[("slipway_backup_last_verified_timestamp_seconds", *kind)] == 1772431200
    assert told[("slipway_backup_last_restored_timestamp_seconds", *kind)] == 1772431200
    assert told[("slipway_backup_max_age_seconds", *kind)] == 26 * HOUR
    assert told[("slipway_backup_failures_total", *kind, "backup")] == 2
    assert told[("slipway_backup_failing", *kind, "drill")] == 1
    assert told[("slipway_backup_failing", *kind, "backup")] == 0
    assert told["slipway_backup_alarms", "shop"] == 3
    assert told["slipway_backup_check_timestamp_seconds", "shop"] == NOW.timestamp()
    assert told["slipway_wal_lag_seconds", "shop"] == 10
    assert told["slipway_wal_lag_bytes", "shop"] == 77
    families = {family.name: family for family in parse_metrics(text)}
    assert all(family.documentation and family.type in ("gauge", "counter") for family in families.values())
    assert len(told) == len([line for line in text.splitlines() if not line.startswith("#")])
    # What has not happened has no number, and no family either.
    assert set(parsed(metrics.text(facts({}), 0, NOW))) == {
        ("slipway_backup_max_age_seconds", *kind),
        *(("slipway_backup_failing", *kind, work) for work in ("backup", "verify")),
        *(("slipway_backup_failures_total", *kind, work) for work in ("backup", "verify")),
        ("slipway_backup_alarms", "shop"),
        ("slipway_backup_check_timestamp_seconds", "shop"),
    }


@pytest.fixture
def host(tmp_path, monkeypatch, state_directory):
    """A host with a configured stack, and a systemd whose answers are in a file."""
    for name in ("config", "alerts-config", "metrics", "bin"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(spec, "CONFIG_DIRECTORY", tmp_path / "config")
    monkeypatch.setattr(options, "CONFIG_DIRECTORY", tmp_path / "alerts-config")
    monkeypatch.setattr(ledger, "STATE_DIRECTORY", tmp_path / "alerts")
    monkeypatch.setattr(wal_options, "SPOOL_DIRECTORY", tmp_path / "wal")
    configuration = {
        "stack": "shop",
        "local_directory": str(tmp_path / "copies"),
        "kinds": {"files": {}},
        "watch": {
            "timers": {"slipway-backup-files@": "*-*-* 02:00:00"},
            "random_delay": "30min",
            "metrics_directory": str(tmp_path / "metrics"),
        },
    }
    (tmp_path / "config" / "shop.json").write_text(json.dumps(configuration))
    program = tmp_path / "bin" / "systemctl"
    program.write_text('#!/bin/sh\ncat "$0.answer"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    systemd(tmp_path)
    return tmp_path


def systemd(place, **timer):
    """What `systemctl show` prints of the timer and its service."""
    blocks = [{**ARMED, **timer}, IDLE]
    text = "\n\n".join("\n".join(f"{key}={value}" for key, value in block.items()) for block in blocks)
    (place / "bin" / "systemctl.answer").write_text(text + "\n")


def receivers(place, *servers):
    webhooks = [
        {"name": f"hook{n}", "url": one.url, "tries": 1, "ca_file": str(one.certificate)}
        for n, one in enumerate(servers)
    ]
    (place / "alerts-config" / "shop.json").write_text(json.dumps({"version": 1, "webhooks": webhooks}))


def made(kind="files", hours=1.0):
    then = datetime.now(timezone.utc) - timedelta(hours=hours)
    known = record.manifest.Manifest(
        id=record.manifest.new_id(then),
        stack="shop",
        snapshot_time=record.manifest.moment(then),
        finished=record.manifest.moment(then),
        seconds=1.0,
        dump_bytes=2,
        stored_bytes=1,
        objects=[],
        contents={},
        compression="",
        encryption="none",
        tables={"a": 3, "b": 4},
        kind=kind,
    )
    record.success(spec.load("shop", kind), known)


def run(*words):
    from ansible_collections.slipway.vps.plugins.module_utils.agent import cli

    return cli.main(["backup", "check", "shop", *words])


def test_from_failure_to_good_again_through_files_and_webhooks(host, serve, capsys):
    server = serve()
    receivers(host, server)
    wanted = spec.load("shop", "files")
    made()
    assert run() == 0
    assert "as they should be" in capsys.readouterr().out and server.received == []
    record.failure(wanted, "backup", "The bucket refuses.")
    assert run() == commands.ALARMS
    assert run() == commands.ALARMS
    [alarm] = server.received
    assert (alarm["status"], alarm["key"]) == ("firing", "backup.files") and "The bucket refuses." in alarm["text"]
    text = (host / "metrics" / "slipway_backup_shop.prom").read_text()
    assert parsed(text)["slipway_backup_failing", "shop", "files", "backup"] == 1
    assert parsed(text)["slipway_backup_rows", "shop", "files"] == 7
    made(hours=0)
    assert run() == 0
    assert [one["status"] for one in server.received] == ["firing", "resolved"]
    assert (host / "metrics" / "slipway_backup_shop.prom").stat().st_mode & 0o777 == 0o644
    assert [path.name for path in (host / "metrics").iterdir()] == ["slipway_backup_shop.prom"]
    assert "SECRET" not in "".join(capsys.readouterr()) + text


def test_the_age_and_a_stopped_timer_are_told_although_no_backup_runs(host, serve):
    server = serve()
    receivers(host, server)
    made(hours=30)
    systemd(host, ActiveState="inactive", UnitFileState="disabled")
    assert run() == commands.ALARMS
    assert {one["key"] for one in server.received} == {"age.files", "unit.slipway-backup-files@shop.timer"}


def test_a_webhook_that_fails_spoils_no_other_and_is_told(host, serve, capsys):
    bad, good = serve(), serve()
    receivers(host, bad, good)
    bad.script = [500]
    made(hours=30)
    assert run() == 1
    said = capsys.readouterr()
    assert "could not be delivered to the webhook hook0" in said.err and "SECRET" not in said.err + said.out
    assert len(good.received) == 1
    assert run() == commands.ALARMS
    assert len(bad.received) == 1 and len(good.received) == 1


def test_what_cannot_be_read_is_an_alarm_and_calls_nothing_off(host, serve):
    server = serve()
    receivers(host, server)
    made(hours=30)
    run()
    (spec.load("shop", "files").state_directory / record.LAST).write_text("{")
    run()
    (host / "bin" / "systemctl").unlink()
    run()
    assert [(one["status"], one["key"]) for one in server.received] == [("firing", "age.files"), ("firing", "check")]


def test_a_metrics_directory_that_is_not_there_is_told_and_nothing_else_is_lost(host, serve, capsys):
    server = serve()
    receivers(host, server)
    made(hours=30)
    (host / "metrics").rmdir()
    assert run() == 1
    assert "cannot be written" in capsys.readouterr().err and len(server.received) == 1


def test_a_test_message_reaches_every_webhook(host, serve):
    servers = serve(), serve()
    receivers(host, *servers)
    assert run("--test") == 0
    assert [[one["status"] for one in server.received] for server in servers] == [["firing", "resolved"]] * 2


def test_records_know_what_is_failing_and_how_often_it_did(host):
    wanted = spec.load("shop", "files")
    for work in ("backup", "verify", "backup"):
        record.failure(wanted, work, "No.")
    assert set(record.last(wanted)["failing"]) == {"backup", "verify"}
    made(hours=0)
    record.confirmed(wanted, "x")
    known = record.last(wanted)
    assert known["failing"] == {} and known["failures"] == {"backup": 2, "verify": 1}


def test_a_backup_has_itself_looked_at_however_it_ends(host, monkeypatch):
    program = host / "bin" / "systemctl"
    program.write_text(f'#!/bin/sh\necho "$@" >> {host}/asked\nexit 5\n')
    with check.afterwards("shop"):
        pass
    with pytest.raises(SlipwayError, match="It failed"), check.afterwards("shop"):
        raise SlipwayError("It failed.")
    program.unlink()
    with check.afterwards("shop"):
        pass
    assert (host / "asked").read_text() == "start --no-block slipway-backup-check@shop.service\n" * 2
