# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whatever a server does, and in whatever phase of a protocol: an answer in time, and nothing left behind."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading
import time
from pathlib import Path

import pytest

from ansible_collections.slipway.vps.plugins.module_utils.probe import engine
from ansible_collections.slipway.vps.plugins.module_utils.probe.runner import GRACE

TIMEOUT = 0.4
PAUSE = 0.05
# PostgreSQL: "speak TLS" refused, then a request for a password of 200 bytes that comes one byte at a time.
NO_TLS = b"N"
AUTHENTICATION = b"R\x00\x00\x00\xc8" + b"\x00" * 196
TLS_RECORD = b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc\x03\x03"


def after(beginning, *, wait_for=1):
    """Sends `beginning` in one piece after the first bytes of the client, then a byte now and then for ever."""

    def behave(connection, stop):
        connection.recv(wait_for)
        connection.sendall(beginning)
        while not stop.wait(PAUSE):
            connection.sendall(b"x")

    return behave


def bytewise(text):
    """Sends an answer one byte at a time, again and again."""

    def behave(connection, stop):
        while True:
            for value in text:
                if stop.wait(PAUSE):
                    return
                connection.sendall(bytes([value]))

    return behave


def silent(_connection, stop):
    stop.wait()


def redirect_then_trickle(connection, stop):
    asked = connection.recv(4096)
    if b"GET /next" in asked:
        return after(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n")(connection, stop)
    connection.sendall(b"HTTP/1.1 302 Found\r\nLocation: /next\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    return None


def postgres_then_trickle(connection, stop):
    connection.recv(1024)
    connection.sendall(NO_TLS)
    bytewise(AUTHENTICATION)(connection, stop)


BEHAVIOURS = {
    "silent": silent,
    "header": bytewise(b"HTTP/1.1 200 OK\r\nX: "),
    "continue": bytewise(b"HTTP/1.1 100 Continue\r\n\r\n"),
    "body": after(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"),
    "chunks": bytewise(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 1000),
    "redirect": redirect_then_trickle,
    "handshake": bytewise(TLS_RECORD + b"\x00" * 100),
    "postgres": postgres_then_trickle,
    "redis": bytewise(b"$500000\r\n" + b"x" * 1000),
    "banner": bytewise(b"no end of line "),
}
HTTP = ("silent", "header", "continue", "body", "chunks", "redirect")
CASES = [
    *[("http", "http://{place}/", {"redirects": 3}, behaviour) for behaviour in HTTP],
    *[("http", "https://{place}/", {"verify": False}, behaviour) for behaviour in ("silent", "handshake")],
    *[("tls", "{place}", {}, behaviour) for behaviour in ("silent", "handshake")],
    *[("websocket", "ws://{place}/", {}, behaviour) for behaviour in ("silent", "header", "continue")],
    *[("websocket", "wss://{place}/", {}, behaviour) for behaviour in ("silent", "handshake")],
    *[("tcp", "{place}", {"banner": "SSH"}, behaviour) for behaviour in ("silent", "banner")],
    *[("redis", "{place}", {"login_password": "x" * 8}, behaviour) for behaviour in ("silent", "redis")],
    *[("postgres", "", {"ssl_mode": mode}, "silent") for mode in ("disable", "prefer", "require")],
    ("postgres", "", {"ssl_mode": "prefer"}, "postgres"),
]
IDS = [
    f"{kind}-{target.partition(':')[0]}-{behaviour}-{index}"
    for index, (kind, target, _o, behaviour) in enumerate(CASES)
]


@pytest.fixture(scope="module")
def servers(raw_server):
    """One bad server of each kind."""
    with contextlib.ExitStack() as stack:
        yield {name: stack.enter_context(raw_server(behaviour)) for name, behaviour in BEHAVIOURS.items()}


def definition(case, servers, **more):
    kind, target, options, behaviour = case
    port = servers[behaviour]
    where = {"target": target.format(place=f"127.0.0.1:{port}")}
    if kind == "postgres":
        where = {"target": "127.0.0.1", "login_port": port}
    return {"type": kind, **where, **options, **more}


def left_over():
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("probe ")]


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_the_deadline_holds_in_every_phase(case, servers):
    started = time.monotonic()
    report = engine.check(engine.Request([definition(case, servers, name="it")], timeout=TIMEOUT))
    seconds = time.monotonic() - started
    [result] = report.probes
    assert result.status == "fail"
    assert "the probe itself broke" not in result.message
    assert seconds < TIMEOUT + GRACE
    assert left_over() == []


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_the_deadline_of_the_run_holds_in_every_phase(case, servers):
    started = time.monotonic()
    report = engine.check(engine.Request([definition(case, servers, name="it")], timeout=60, deadline=TIMEOUT))
    assert time.monotonic() - started < TIMEOUT + GRACE
    assert f"the run's deadline of {TIMEOUT} s passed" in report.probes[0].message
    assert left_over() == []


def test_all_of_them_at_once_leave_no_thread_and_no_descriptor(servers):
    """The servers are in this process too: the descriptors that count are those connected to them."""
    probes = [
        definition(case, servers, name=f"{index} {repetition}")
        for index, case in enumerate(CASES)
        for repetition in range(4)
    ]
    engine.check(engine.Request(probes[:1], timeout=TIMEOUT))
    before = mine(servers)
    report = engine.check(engine.Request(probes, timeout=TIMEOUT, concurrency=100))
    assert [result.name for result in report.probes] == [probe["name"] for probe in probes]
    assert {result.status for result in report.probes} == {"fail"}
    assert report.seconds < TIMEOUT + 2 * GRACE
    assert left_over() == []
    assert mine(servers) == before == 0


def mine(servers):
    """Descriptors of this process that are connected to one of the servers, from the client's side."""
    ports, count = set(servers.values()), 0
    for name in os.listdir("/proc/self/fd"):
        try:
            with socket.socket(fileno=os.dup(int(name))) as one:
                count += one.family == socket.AF_INET and one.getpeername()[1] in ports
        except OSError:
            continue
    return count


def test_a_docker_daemon_that_does_not_answer(tmp_path, monkeypatch):
    path = tmp_path / "docker.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(8)
        monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
        request = engine.Request([{"type": "container", "target": "shop", "name": "it"}], timeout=TIMEOUT)
        report = engine.check(request)
    assert report.probes[0].status == "fail"
    assert report.seconds < TIMEOUT + GRACE
    assert left_over() == []


def runs(process):
    """A zombie does not; whoever is its parent now may collect it later."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_program_that_does_not_end_is_gone_with_all_that_it_started(tmp_path):
    note = tmp_path / "child"
    code = (
        "import subprocess, sys, time; child = subprocess.Popen(['sleep', '60']); "
        f"open({str(note)!r}, 'w').write(str(child.pid)); time.sleep(60)"
    )
    probe = {"type": "command", "argv": [sys.executable, "-c", code], "name": "it"}
    report = engine.check(engine.Request([probe], timeout=1.5))
    assert report.probes[0].message == "no answer within 1.5 s"
    assert left_over() == []
    child = int(note.read_text())
    end = time.monotonic() + 3
    while runs(child):
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_result_for_every_probe_when_there_are_no_more_threads(web, monkeypatch):
    """As when the limit of tasks of a unit is reached."""
    start = threading.Thread.start

    def refuse(thread):
        if thread.name.startswith("probe ") and "second" in thread.name:
            raise RuntimeError("can't start new thread")
        return start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    probes = [{"type": "http", "target": web.url, "name": name} for name in ("first", "second", "third")]
    report = engine.check(engine.Request(probes))
    assert [result.status for result in report.probes] == ["ok", "fail", "ok"]
    assert "no thread" in report.probes[1].message
