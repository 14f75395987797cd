# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The sample application, as a real process on a real port."""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

IMAGE = Path(__file__).parents[2] / "fixtures" / "sample_app" / "image"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def application(tmp_path: Path, **environment: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    port = free_port()
    given = {
        "PATH": os.environ["PATH"],
        "PORT": str(port),
        "RELEASE": "1.2.3",
        "UPLOADS_DIR": str(tmp_path),
        **environment,
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "app", "serve"], cwd=IMAGE, env=given, stdout=subprocess.PIPE, text=True
    )
    try:
        deadline = time.monotonic() + 10
        while process.poll() is None and time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.05)
        yield process, port
    finally:
        process.kill()
        process.communicate()


def ask(port: int, path: str, method: str = "GET", body: bytes | None = None) -> tuple[int, bytes]:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data=body, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def test_it_tells_its_release_and_keeps_files(tmp_path: Path) -> None:
    with application(tmp_path, HEALTH_PATHS="/up,/health/detailed") as (_process, port):
        assert json.loads(ask(port, "/version")[1])["release"] == "1.2.3"
        assert ask(port, "/up")[0] == 200
        assert ask(port, "/health/detailed")[0] == 200
        assert ask(port, "/health")[0] == 404
        assert ask(port, "/uploads/a.txt", "PUT", b"content")[0] == 201
        assert ask(port, "/uploads/a.txt")[1] == b"content"
        assert ask(port, "/uploads/..%2Fa", "PUT", b"content")[0] == 400


def test_an_upload_may_have_a_limit(tmp_path: Path) -> None:
    with application(tmp_path, UPLOAD_DIR=str(tmp_path / "own"), MAX_UPLOAD_SIZE="7") as (_process, port):
        assert [ask(port, "/uploads/a", "PUT", b"x" * size)[0] for size in (7, 8)] == [201, 413]
        assert (tmp_path / "own" / "a").read_bytes() == b"x" * 7


def test_the_database_may_be_described_in_parts() -> None:
    from app import settings

    parts = {"DB_HOST": "db", "DB_USER": "me", "DB_PASSWORD": "a/b@c", "DB_NAME": "game", "DB_SSLMODE": "require"}
    assert settings.read(parts).database_url == "postgresql://me:a%2Fb%40c@db:5432/game?sslmode=require"
    assert settings.read({**parts, "DATABASE_URL": "postgresql://x/y"}).database_url == "postgresql://x/y"
    assert settings.read({}).database_url == ""


def test_it_can_be_well_and_not_ready(tmp_path: Path) -> None:
    with application(tmp_path, FAULT="unready") as (_process, port):
        assert [ask(port, path)[0] for path in ("/health", "/ready")] == [200, 503]


@pytest.mark.parametrize(("fault", "status", "word"), [("unhealthy", 500, b"failing"), ("wrong_body", 200, b"broken")])
def test_faults_of_health(tmp_path: Path, fault: str, status: int, word: bytes) -> None:
    with application(tmp_path, FAULT=fault) as (_process, port):
        assert ask(port, "/health")[0] == status
        assert word in ask(port, "/health")[1]


def test_it_gets_sick_when_it_is_used(tmp_path: Path) -> None:
    with application(tmp_path, FAULT="sick_in_use") as (_process, port):
        assert [ask(port, "/health")[0] for _time in range(3)] == [200, 200, 200]
        assert ask(port, "/version")[0] == 200
        assert ask(port, "/health")[0] == 500


def test_it_gets_sick_after_a_while(tmp_path: Path) -> None:
    with application(tmp_path, FAULT="sick", SICK_AFTER="0.5") as (_process, port):
        assert ask(port, "/health")[0] == 200
        time.sleep(0.6)
        assert ask(port, "/health")[0] == 500


def test_it_can_crash_at_start(tmp_path: Path) -> None:
    with application(tmp_path, FAULT="crash") as (process, _port):
        assert process.wait(10) == 3


def test_sigterm_finishes_what_is_in_flight(tmp_path: Path) -> None:
    with application(tmp_path) as (process, port):
        answers: list[Any] = []
        asking = threading.Thread(target=lambda: answers.append(ask(port, "/slow?seconds=1")))
        asking.start()
        time.sleep(0.3)
        process.send_signal(signal.SIGTERM)
        asking.join()
        assert answers[0][0] == 200
        assert process.wait(5) == 0


def test_it_can_die_at_once_on_sigterm(tmp_path: Path) -> None:
    with application(tmp_path, FAULT="abrupt") as (process, port):
        answers: list[BaseException] = []

        def wait_for_an_answer() -> None:
            try:
                ask(port, "/slow?seconds=5")
            except OSError as error:
                answers.append(error)

        asking = threading.Thread(target=wait_for_an_answer)
        asking.start()
        time.sleep(0.3)
        process.send_signal(signal.SIGTERM)
        assert process.wait(1) == 143
        asking.join(2)
        assert len(answers) == 1


def test_sigterm_closes_websockets_with_going_away(tmp_path: Path) -> None:
    with application(tmp_path) as (process, port), socket.create_connection(("127.0.0.1", port), timeout=5) as plain:
        key = base64.b64encode(os.urandom(16)).decode()
        plain.sendall(
            "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\n\r\n".encode()
        )
        stream = plain.makefile("rb")
        assert b" 101 " in stream.readline()
        while stream.readline().strip():
            pass
        greeting = stream.read(stream.read(2)[1])
        assert json.loads(greeting) == {"release": "1.2.3", "instance": socket.gethostname()}
        process.send_signal(signal.SIGTERM)
        opcode, length = stream.read(2)
        assert opcode == 0x88
        assert struct.unpack(">H", stream.read(length))[0] == 1001
        plain.sendall(bytes([0x88, 0x82, 0, 0, 0, 0]) + struct.pack(">H", 1001))
        assert process.wait(5) == 0
