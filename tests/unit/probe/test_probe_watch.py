# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the timer on the host does: metrics each time, and a message to a real receiver when a state changes."""

from __future__ import annotations

import argparse
import json
import socket
import threading
from datetime import datetime, timezone

import pytest
from prometheus_client.parser import text_string_to_metric_families as parse_metrics

from ansible_collections.slipway.vps.plugins.module_utils.alerts import ledger, options
from ansible_collections.slipway.vps.plugins.module_utils.alerts.message import Alarm
from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError
from ansible_collections.slipway.vps.plugins.module_utils.probe import commands, watch
from ansible_collections.slipway.vps.plugins.module_utils.probe.result import ProbeResult, Report
from ansible_collections.slipway.vps.tests.unit.alerts.conftest import serve as receiver

__all__ = ["receiver"]


class Host:
    """A host on which playbooks/health.yml has run, with a service that is there or not."""

    def __init__(self, place):
        self.place = place
        self.probes = place / "probes"
        self.metrics = place / "metrics"
        for name in ("probes", "metrics", "alerts-config"):
            (place / name).mkdir()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port = listener.getsockname()[1]
        self.service = None
        self.describe()

    def describe(self, *more, **settings):
        service = {"name": "service", "type": "tcp", "target": f"127.0.0.1:{self.port}", "group": "inside"}
        settings = {"retries": 0, "interval": 0.1, "metrics_directory": str(self.metrics), **settings}
        content = {"probes": [service, *more], "watch": settings}
        (self.probes / "shop.json").write_text(json.dumps(content))

    def receivers(self, *servers, topic="health", **more):
        webhooks = [
            {"name": f"hook{n}", "url": one.url, "tries": 1, "ca_file": str(one.certificate), **more}
            for n, one in enumerate(servers)
        ]
        path = self.place / "alerts-config" / options.file_name("shop", topic)
        path.write_text(json.dumps({"version": 1, "repeat_hours": 0, "webhooks": webhooks}))

    def up(self):
        self.service = socket.create_server(("127.0.0.1", self.port))

    def down(self):
        self.service.close()

    def look(self):
        return watch.run("shop", self.probes)

    def samples(self):
        text = (self.metrics / "slipway_health_shop.prom").read_text()
        return {(one.name, one.labels.get("name")): one for family in parse_metrics(text) for one in family.samples}


@pytest.fixture
def host(tmp_path, monkeypatch):
    monkeypatch.setattr(options, "CONFIG_DIRECTORY", tmp_path / "alerts-config")
    monkeypatch.setattr(ledger, "STATE_DIRECTORY", tmp_path / "alerts")
    found = Host(tmp_path)
    yield found
    if found.service:
        found.service.close()


def told(server):
    return [(one["status"], one["key"]) for one in server.received]


def test_a_message_only_when_a_state_changes_and_metrics_each_time(host, receiver):
    server = receiver()
    host.receivers(server)
    host.up()
    assert host.look()[1] == []
    assert told(server) == []
    first = host.samples()["slipway_probes_timestamp_seconds", None].value
    host.down()
    for _repetition in range(3):
        assert host.look()[1] == []
    assert told(server) == [("firing", "probe:service")]
    assert server.received[0]["summary"] == "service: connection refused (expected: accepts connections)"
    assert server.received[0]["hint"].startswith("Is the service started")
    sample = host.samples()["slipway_probe_status", "service"]
    assert (sample.value, sample.labels["stack"], sample.labels["group"]) == (2, "shop", "inside")
    assert host.samples()["slipway_probes_timestamp_seconds", None].value > first
    host.up()
    for _repetition in range(2):
        host.look()
    assert told(server)[1:] == [("resolved", "probe:service")]


def test_one_bad_answer_wakes_nobody(host, receiver):
    server = receiver()
    host.receivers(server)
    host.describe(retries=3, interval=0.3)
    timer = threading.Timer(0.4, host.up)
    timer.start()
    found, problems = host.look()
    timer.join()
    assert (found.status, found.probes[0].attempts > 1, problems, told(server)) == ("ok", True, [], [])


def test_a_probe_that_says_how_often_is_asked_as_it_says(host):
    definitions = [{"name": "own", "retries": 7}, {"name": "in a row", "failures": 3}, {"name": "none"}]
    asked = watch.request(definitions, watch.Watch()).probes
    assert [one.get("retries") for one in asked] == [7, None, 2]


def test_alarms_of_backups_and_of_probes_do_not_call_each_other_off(host, receiver):
    server = receiver()
    host.receivers(server)
    host.receivers(server, topic="backup")
    ledger.tell("shop", "backup", [Alarm("postgres:age", "too old")], datetime.now(timezone.utc), blind=False)
    host.look()
    host.up()
    host.look()
    assert told(server) == [
        ("firing", "postgres:age"),
        ("firing", "probe:service"),
        ("resolved", "probe:service"),
    ]


def test_backups_are_told_once(host, receiver):
    """Their own check tells of them, where it has somebody to tell."""
    bad = Report([ProbeResult("last backup", "backup_age", "shop", "fail", 1.0, 1, "there is no backup yet")], 0.1)
    assert [one.key for one in watch.alarms(bad, watch.told_elsewhere("shop"))] == ["probe:last backup"]
    host.receivers(receiver(), topic="backup")
    assert watch.alarms(bad, watch.told_elsewhere("shop")) == []


def test_one_cause_is_one_message():
    def report(count):
        return Report([ProbeResult(f"p{n}", "tcp", "a:1", "fail", 1.0, 1, "refused") for n in range(count)], 1.0)

    assert [one.key for one in watch.alarms(report(5))] == [f"probe:p{n}" for n in range(5)]
    [many] = watch.alarms(report(6))
    assert (many.key, many.severity) == ("many", "critical")
    assert many.summary == "6 of 6 probes are not well: p0, p1, p2, p3, p4, p5. The first: refused"


def test_what_cannot_be_probed_is_an_alarm_and_calls_nothing_off(host, receiver):
    server = receiver()
    host.receivers(server)
    host.look()
    (host.probes / "shop.json").write_text('{"probes": [{"login_password": "hunter22"')
    found, problems = host.look()
    assert found is None
    assert told(server) == [("firing", "probe:service"), ("firing", "probes")]
    assert "cannot be read (JSONDecodeError)" in server.received[1]["summary"]
    assert "hunter22" not in str(server.received) + str(problems)


def test_metrics_that_cannot_be_written_are_told_and_the_webhooks_are_called_all_the_same(host, receiver):
    server = receiver()
    host.receivers(server)
    host.describe(metrics_directory=str(host.place / "none"))
    _found, problems = host.look()
    assert "Correct health_metrics_directory" in problems[0]
    assert told(server) == [("firing", "probe:service")]


def test_a_webhook_that_hangs_does_not_keep_the_metrics(host, receiver):
    server = receiver()
    server.script = ["drip"]
    host.receivers(server, timeout=0.3, deadline=0.5)
    _found, problems = host.look()
    assert "it does not answer in time" in problems[0]
    assert host.samples()["slipway_probes_status", None].value == 2
    host.look()
    assert told(server) == [("firing", "probe:service")]


def run(host, *words):
    parser = argparse.ArgumentParser()
    commands.register(parser.add_subparsers())
    arguments = parser.parse_args(["health", "--directory", str(host.probes), *words])
    return arguments.func(arguments)


def test_the_command_of_the_unit(host, receiver, capsys):
    assert run(host, "shop", "--tell") == 2
    assert "connection refused" in capsys.readouterr().out
    host.up()
    assert run(host, "shop", "--tell") == 0
    host.down()
    server = receiver()
    server.script = [404]
    host.receivers(server)
    assert run(host, "shop", "--tell") == 1
    assert "it answers HTTP 404" in capsys.readouterr().err
    with pytest.raises(SlipwayError, match="--tell is for one stack"):
        run(host, "--tell")
    (host.probes / "shop.json").unlink()
    with pytest.raises(SlipwayError, match="There is no file"):
        run(host, "shop", "--tell")


def test_what_a_person_runs_has_the_same_time(host):
    host.describe({"name": "own", "type": "memory", "timeout": 9}, timeout=7)
    asked = commands.load(host.probes, None).probes
    assert [(one["name"], one["timeout"]) for one in asked] == [("shop: service", 7), ("shop: own", 9)]
