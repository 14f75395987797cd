# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from xml.etree import ElementTree

import pytest

from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError
from ansible_collections.slipway.vps.plugins.module_utils.probe import commands, report
from ansible_collections.slipway.vps.plugins.module_utils.probe.redact import redact, shown_url
from ansible_collections.slipway.vps.plugins.module_utils.probe.result import ProbeResult, Report


def result(name, status, message="seen", **more):
    return ProbeResult(name, "tcp", "a:1", status, 12.34, more.pop("attempts", 1), message, **more)


@pytest.fixture
def mixed():
    return Report(
        [
            result("good", "ok"),
            result('odd "name"\\', "warn", hint="Look."),
            result("bad", "fail", "refused\x00", hint="Start it.", attempts=3),
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
