# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families as parse_metrics

from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError
from ansible_collections.slipway.vps.plugins.module_utils.probe import commands, report
from ansible_collections.slipway.vps.plugins.module_utils.probe.redact import redact, shown_url
from ansible_collections.slipway.vps.plugins.module_utils.probe.result import ProbeResult, Report


def result(name, status, message="seen", **more):
    target, attempts = more.pop("target", "a:1"), more.pop("attempts", 1)
    return ProbeResult(name, "tcp", target, status, 12.34, attempts, message, **more)


@pytest.fixture
def mixed():
    return Report(
        [
            result("good", "ok"),
            result('odd "name"\\', "warn", hint="Look."),
            result("bad", "fail", "refused\x00", hint="Start it.", attempts=3, expected="closed"),
        ],
        1.5,
    )


def test_summary_and_policy(mixed):
    assert mixed.status == "fail"
    assert mixed.summary == {"total": 3, "ok": 1, "warn": 1, "fail": 1, "seconds": 1.5}
    assert [mixed.passes(policy) for policy in ("never", "fail", "warn")] == [True, False, False]
    warned = Report(mixed.probes[:2], 1.0)
    assert [warned.passes(policy) for policy in ("never", "fail", "warn")] == [True, True, False]


def test_table_is_worst_first_with_what_to_try(mixed):
    lines = report.table(mixed).splitlines()
    assert [line.split()[0] for line in lines] == ["status", "fail", "warn", "ok", "1"]
    assert lines[1].split()[:4] == ["fail", "bad", "12", "closed"]
    assert lines[1].endswith("(3 attempts) -> Start it.")
    assert lines[-1] == "1 ok, 1 warn, 1 fail in 1.5 s"


def test_the_sentence_names_at_most_five():
    many = Report([result(f"p{index}", "fail") for index in range(7)], 1.0)
    assert many.sentence().startswith("7 of 7 probes are not ok: p0: seen; p1: seen;")
    assert many.sentence().endswith(" and 2 more")


def test_json(mixed):
    assert json.loads(report.as_json(mixed))["probes"][0]["name"] == "good"


def test_prometheus_text_is_escaped(mixed):
    text = report.prometheus(mixed)
    assert 'slipway_probe_status{name="odd \\"name\\"\\\\",type="tcp",target="a:1",group=""} 1' in text
    assert 'slipway_probe_latency_seconds{name="good",type="tcp",target="a:1",group=""} 0.01234' in text
    assert "slipway_probes_status 2" in text
    assert text.endswith("\n")


@given(names=st.lists(st.text(max_size=40), min_size=1, max_size=5, unique=True), stack=st.text(max_size=10))
def test_prometheus_text_is_read_back_as_it_was_meant(names, stack):
    found = Report([result(name, "warn", target=name) for name in names], 1.5)
    families = {family.name: family for family in parse_metrics(report.prometheus(found, {"stack": stack}))}
    samples = families["slipway_probe_status"].samples
    assert [(one.labels["name"], one.labels["stack"], one.value) for one in samples] == [
        (name, stack, 1.0) for name in names
    ]
    [ended] = families["slipway_probes_timestamp_seconds"].samples
    assert ended.labels == {"stack": stack}
    assert ended.value == pytest.approx(found.ended, abs=0.001)


@given(text=st.text(max_size=80))
def test_one_probe_is_one_line_whatever_a_server_says(text):
    found = Report([result("it", "fail", message=text, hint=text, expected=text)], 1.0)
    assert len(report.table(found).splitlines()) == 3


@given(text=st.text(max_size=80))
def test_junit_can_be_read_whatever_a_server_says(text):
    found = Report([result(text, "fail", message=text, hint=text, expected=text)], 1.0)
    suite = ElementTree.fromstring(report.junit(found).encode())
    assert suite[0][0].tag == "failure"


def test_junit_is_xml_whatever_a_server_says(mixed):
    suite = ElementTree.fromstring(report.junit(mixed).split("\n", 1)[1])
    assert suite.attrib["failures"] == "1"
    assert suite[2][0].attrib["message"] == "refused?"
    assert suite[1][0].tag == "system-out"


def test_files_are_written_where_asked(mixed, tmp_path):
    path = tmp_path / "probes.json"
    assert report.write(mixed, {"json": str(path), "junit": None}) == [str(path)]
    assert json.loads(path.read_text())["status"] == "fail"
    with pytest.raises(SlipwayError, match="does not exist"):
        report.write(mixed, {"json": str(tmp_path / "none" / "x.json")})


def test_redaction_leaves_no_tail_of_a_longer_secret():
    value = {"a": ["abc and abcdef", 7], "abc": None}
    assert redact(value, ["abc", "abcdef"]) == {"a": ["*** and ***", 7], "***": None}


def test_shown_urls():
    assert shown_url("https://u:p@a.b:8/c?k=v&e=#f") == "https://a.b:8/c?k=***&e=***"
    assert shown_url("/var/lib") == "/var/lib"


def run_health(directory, capsys, *words):
    import argparse

    parser = argparse.ArgumentParser()
    commands.register(parser.add_subparsers())
    arguments = parser.parse_args(["health", "--directory", str(directory), *words])
    return arguments.func(arguments), capsys.readouterr().out


def test_slipway_health(tmp_path, capsys):
    probes = [{"name": "disk", "type": "disk", "target": "/", "warn_percent": 101, "fail_percent": 101}]
    (tmp_path / "shop.json").write_text(json.dumps({"probes": probes}))
    rc, out = run_health(tmp_path, capsys)
    assert rc == 0
    assert "ok      shop: disk" in out
    probes[0]["fail_percent"] = 0
    (tmp_path / "shop.json").write_text(json.dumps({"probes": probes}))
    rc, out = run_health(tmp_path, capsys, "shop", "--format", "json")
    assert rc == 2
    assert json.loads(out)["status"] == "fail"


def test_slipway_health_without_probes(tmp_path, capsys):
    with pytest.raises(SlipwayError, match="No probes are described"):
        run_health(tmp_path, capsys)
    with pytest.raises(SlipwayError, match="There is no file"):
        run_health(tmp_path, capsys, "shop")
