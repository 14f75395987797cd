# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lag of a real standby, seen from both ends."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError
from ansible_collections.slipway.vps.plugins.module_utils.probe.registry import TYPES
from ansible_collections.slipway.vps.plugins.module_utils.probe.spec import parse
from ansible_collections.slipway.vps.tests.unit.postgres_server import PASSWORD, PostgresServer


@pytest.fixture(scope="module")
def standby(postgres):
    with tempfile.TemporaryDirectory(prefix="standby.", dir=postgres.directory) as place:
        server = PostgresServer(Path(place), postgres.bin)
        if os.geteuid() == 0:
            Path(place).chmod(0o755)
            os.chown(place, postgres.data.stat().st_uid, postgres.data.stat().st_gid)
        command = ["pg_basebackup", "-h", "127.0.0.1", "-p", str(postgres.port), "-U", "postgres", "-R", "-c", "fast"]
        words = [str(postgres.bin / command[0]), *command[1:], "-D", str(server.data)]
        environment = {**os.environ, "PGPASSWORD": PASSWORD}
        subprocess.run(words, check=True, capture_output=True, env=environment, **postgres._as())
        server.start()
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture
def lag(probe):
    def ask(server, **options):
        options = {"lag_warn_seconds": 5, "lag_fail_seconds": 60, "login_password": PASSWORD, **options}
        return probe(type="postgres", target="127.0.0.1", login_port=server.port, **options)

    return ask


def until(lag, server, message, **options):
    end = time.monotonic() + 20
    while message not in (found := lag(server, **options)).message:
        assert time.monotonic() < end, found
        time.sleep(0.2)
    return found


def test_a_primary_alone(postgres, lag):
    assert lag(postgres).message == "no standby is connected"


def test_both_ends_see_how_far_it_is_behind(postgres, standby, lag):
    postgres.query("CREATE TABLE replicated (a int)")
    # A standby that has replayed no commit since it started cannot say how old its last one is.
    end = time.monotonic() + 20
    while standby.query("SELECT to_regclass('replicated')") == [(None,)]:
        assert time.monotonic() < end
        time.sleep(0.1)
    for server in (postgres, standby):
        good = until(lag, server, "the standby is 0.0 s behind")
        assert (good.status, good.expected) == ("ok", "replication under 60 s behind")
    standby.query("SELECT pg_wal_replay_pause()")
    try:
        postgres.query("INSERT INTO replicated VALUES (1)")
        time.sleep(1.2)
        late = lag(standby, lag_warn_seconds=1)
        assert late.status == "warn" and late.observed["lag_seconds"] >= 1
        assert lag(standby, lag_fail_seconds=1).status == "fail"
    finally:
        standby.query("SELECT pg_wal_replay_resume()")
    until(lag, standby, "the standby is 0.0 s behind")


def test_a_user_who_may_not_see_it_is_told_so(postgres, standby, lag):
    postgres.query("CREATE ROLE watcher LOGIN PASSWORD 'watcher-secret'")
    who = {"login_user": "watcher", "login_password": "watcher-secret"}
    blind = lag(postgres, **who)
    assert (blind.status, blind.message) == ("fail", "this user may not see the lag")
    postgres.query("GRANT pg_monitor TO watcher")
    until(lag, postgres, "the standby is 0.0 s behind", **who)


def test_a_standby_whose_primary_is_away(standby, lag):
    standby.query("ALTER SYSTEM SET primary_conninfo = 'host=127.0.0.1 port=1'")
    standby.query("SELECT pg_reload_conf()")
    assert until(lag, standby, "the standby receives no log from its primary").status == "fail"


def test_a_query_and_a_limit_are_two_probes():
    with pytest.raises(SlipwayError, match="Make two probes of it"):
        parse({"type": "postgres", "target": "a", "query": "SELECT 2", "lag_fail_seconds": 1}, TYPES, {})
