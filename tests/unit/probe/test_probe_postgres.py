# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

PASSWORD = "database-secret"


def programs():
    """Directory of the newest PostgreSQL server on this machine."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
    return found[-1].parent if found else None


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    """A real PostgreSQL with a password; it refuses to run as root, so root hands over to user postgres."""
    place = programs()
    if place is None:
        pytest.skip("no PostgreSQL server is installed on this machine")
    directory = tmp_path_factory.mktemp("pg")
    as_user = []
    if os.geteuid() == 0:
        as_user = ["runuser", "-u", "postgres", "--"]
        for parent in [directory, *list(directory.parents)[:3]]:
            parent.chmod(0o755)
        shutil.chown(directory, "postgres")
    password = directory / "password"
    password.write_text(PASSWORD)
    password.chmod(0o644)
    data = directory / "data"
    initdb = [place / "initdb", "-D", data, "-U", "postgres", "-A", "scram-sha-256", "--pwfile", password, "-N"]
    subprocess.run([*as_user, *map(str, initdb)], check=True, capture_output=True)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    serve = [place / "postgres", "-D", data, "-p", port, "-k", directory, "-h", "127.0.0.1"]
    process = subprocess.Popen([*as_user, *map(str, serve)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        ready = [place / "pg_isready", "-h", "127.0.0.1", "-p", port]
        end = time.monotonic() + 30
        while subprocess.run([str(word) for word in ready], check=False, capture_output=True).returncode != 0:
            assert time.monotonic() < end
            time.sleep(0.1)
        yield SimpleNamespace(port=port)
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture
def ask(database, probe):
    def run(**options):
        options = {"login_port": database.port, "login_password": PASSWORD, **options}
        return probe(type="postgres", target="127.0.0.1", **options)

    return run


def test_it_answers(ask):
    good = ask()
    assert good.status == "ok"
    assert good.message == f"PostgreSQL {good.observed['server_version']} answers"


def test_expected_values(ask):
    assert ask(query="SELECT count(*) FROM pg_database WHERE NOT datallowconn", expected="1").status == "ok"
    bad = ask(query="SELECT 2", expected="3")
    assert (bad.status, bad.message) == ("fail", "the query gave '2' instead of '3'")
    assert ask(query="SELECT 1 WHERE false", expected="3").message == "the query gave no row instead of '3'"


def test_a_probe_cannot_write(ask):
    bad = ask(query="CREATE TABLE t (a int)")
    assert bad.status == "fail"
    assert "read-only transaction" in bad.message


def test_a_query_that_never_ends_is_ended(ask):
    bad = ask(query="SELECT pg_sleep(60)", timeout=0.7)
    assert bad.status == "fail"
    assert bad.latency_ms < 2000


def test_a_wrong_password_is_told_and_not_shown(ask):
    bad = ask(login_password="hunter22")
    assert bad.status == "fail" and "authentication failed" in bad.message
    assert "hunter22" not in str(bad.as_dict())


def test_nothing_there(probe, closed_port):
    bad = probe(type="postgres", target="127.0.0.1", login_port=closed_port)
    assert "connection refused" in bad.message
