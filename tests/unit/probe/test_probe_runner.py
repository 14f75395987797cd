# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import threading
import time

from ansible_collections.slipway.vps.plugins.module_utils.probe import engine


def check(probes, **settings):
    started = time.monotonic()
    report = engine.check(engine.Request(probes, **settings))
    return report, time.monotonic() - started


def http(name, port, path="/", **options):
    return {"name": name, "type": "http", "target": f"http://127.0.0.1:{port}{path}", **options}


def test_bad_probes_neither_hide_nor_delay_good_ones(web, hanging, trickling, closed_port):
    probes = [http(f"good {index}", web.server_port) for index in range(30)]
    probes += [http("hangs", hanging), http("trickles", trickling), http("refused", closed_port)]
    report, seconds = check(probes, timeout=0.6, concurrency=8)
    assert [probe.name for probe in report.probes] == [probe["name"] for probe in probes]
    status = {probe.name: probe.status for probe in report.probes}
    assert all(status[f"good {index}"] == "ok" for index in range(30))
    assert report.summary["ok"] == 30 and report.summary["fail"] == 3
    assert seconds < 1.6


def test_a_server_that_sends_a_byte_now_and_then_is_cut_off(trickling):
    report, seconds = check([http("trickles", trickling)], timeout=0.5)
    assert report.probes[0].status == "fail"
    assert report.probes[0].message == "no answer within 0.5 s"
    assert 0.4 < seconds < 1.2


def test_no_thread_and_no_descriptor_is_left_behind(web, hanging, trickling):
    check([http("warm up", web.server_port)])
    threads, descriptors = threading.active_count(), len(os.listdir("/proc/self/fd"))
    probes = [http(f"hangs {index}", hanging) for index in range(5)]
    probes += [http(f"trickles {index}", trickling) for index in range(5)]
    probes += [{"name": f"tls {index}", "type": "tls", "target": f"127.0.0.1:{hanging}"} for index in range(5)]
    report, _seconds = check(probes, timeout=0.3)
    assert report.summary["fail"] == 15
    # The servers of this test run in threads of this process too: they end once they notice.
    own = [thread for thread in threading.enumerate() if "_work" in thread.name]
    assert own == []
    wait_until(lambda: len(os.listdir("/proc/self/fd")) <= descriptors + 15)
    assert threading.active_count() <= threads + 15


def wait_until(condition, seconds=3):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_the_deadline_of_the_run_gives_every_probe_a_result(hanging, web):
    probes = [http(f"hangs {index}", hanging) for index in range(3)] + [http("late", web.server_port)]
    report, seconds = check(probes, timeout=30, deadline=0.5, concurrency=2)
    assert seconds < 1.2
    assert len(report.probes) == 4
    assert "no answer before the run's deadline of 0.5 s passed" in report.probes[0].message
    assert report.probes[3].message == "not asked: the run's deadline of 0.5 s passed before its turn came"
    assert report.probes[3].attempts == 0


def test_the_deadline_of_the_run_keeps_what_the_last_attempt_said(closed_port):
    probe = http("refused", closed_port, retries=100, interval=0.2)
    report, _seconds = check([probe], deadline=0.5)
    assert "the last attempt said: connection refused" in report.probes[0].message


def test_retries_forgive_bad_attempts(web):
    report, seconds = check([http("flaky", web.server_port, "/flaky", retries=2, interval=0.1)])
    assert (report.probes[0].status, report.probes[0].attempts) == ("ok", 3)
    assert seconds >= 0.2


def test_without_retries_the_first_bad_attempt_counts(web):
    report, _seconds = check([http("flaky", web.server_port, "/flaky")])
    assert (report.probes[0].status, report.probes[0].attempts) == ("fail", 1)
    assert report.probes[0].message == "HTTP 503 instead of 2xx"


def test_successes_must_come_in_a_row(web):
    # /flaky is good every third time: two good ones in a row never come.
    report, _seconds = check([http("flaky", web.server_port, "/flaky", successes=2, retries=4, interval=0)])
    assert report.probes[0].status == "fail"
    steady, _seconds = check([http("steady", web.server_port, successes=3, interval=0)])
    assert (steady.probes[0].status, steady.probes[0].attempts) == ("ok", 3)


def test_failures_in_a_row_end_a_probe_early(closed_port):
    report, _seconds = check([http("refused", closed_port, retries=50, failures=2, interval=0)])
    assert report.probes[0].attempts == 2


def test_waiting_between_attempts_takes_no_place(web, closed_port):
    probes = [http("down", closed_port, retries=3, interval=0.2), http("up", web.server_port)]
    report, seconds = check(probes, concurrency=1)
    assert [probe.status for probe in report.probes] == ["fail", "ok"]
    assert seconds < 1.5


def test_latency_limits(web):
    report, _seconds = check(
        [
            http("warns", web.server_port, "/slow", warn_ms=100, fail_ms=5000),
            http("fails", web.server_port, "/slow", warn_ms=100, fail_ms=200),
        ]
    )
    assert [probe.status for probe in report.probes] == ["warn", "fail"]
    assert "but it took" in report.probes[0].message and "(limit 100 ms)" in report.probes[0].message


def test_a_connection_that_is_closed_without_an_answer_is_told(hanging_up):
    report, _seconds = check([http("rude", hanging_up)])
    assert report.probes[0].message == "the other side closed the connection without an answer"


def test_no_probes_is_fine():
    report, _seconds = check([])
    assert (report.status, report.summary["total"]) == ("ok", 0)
