# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.slipway.vps.tests.unit.postgres_server import PASSWORD


@pytest.fixture
def ask(postgres, probe):
    def run(**options):
        options = {"login_port": postgres.port, "login_password": PASSWORD, **options}
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


def test_a_name_with_several_addresses_and_a_unix_socket(postgres, probe):
    options = {"type": "postgres", "login_port": postgres.port, "login_password": PASSWORD}
    assert probe(target="localhost", **options).status == "ok"
    there = probe(login_unix_socket="/nonexistent", **options)
    assert (there.status, "nothing listens there" in there.message) == ("fail", True)
