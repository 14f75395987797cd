# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from ansible_collections.slipway.vps.plugins.module_utils.common.events import Emitter
from ansible_collections.slipway.vps.plugins.module_utils.tenancy import engine, problems, reconcile

SLOW = {"name": "0001_init.sql", "sql": "CREATE TABLE products (name text); SELECT pg_sleep(0.02);"}
STUCK = {"name": "0001_init.sql", "sql": "CREATE TABLE products (name text); SELECT pg_sleep(60);"}
SLUGS = [f"shop{number:02}" for number in range(12)]

PROGRAM = """
import json, sys
from ansible_collections.slipway.vps.plugins.module_utils.common.events import Emitter
from ansible_collections.slipway.vps.plugins.module_utils.tenancy import engine
engine.converge(json.load(sys.stdin), Emitter.null())
"""


@pytest.mark.parametrize("again", range(3))
def test_of_two_runs_at_once_exactly_one_creates_each_tenant_and_none_fails(shop, again):
    start = threading.Barrier(2)

    def run(slugs):
        start.wait()
        return shop.converge(*slugs, templates=[SLOW])

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(run, (SLUGS, SLUGS[::-1])))
    assert [result["summary"]["failed"] for result in results] == [0, 0]
    created = [tenant["slug"] for result in results for tenant in result["tenants"] if tenant["changed"]]
    assert sorted(created) == SLUGS
    assert sum("create schema slipway" in result["database"] for result in results) == 1
    assert shop.query("SELECT count(*) FROM slipway.tenant_migrations") == [(len(SLUGS),)]
    assert shop.query("SELECT count(*) FROM slipway.tenant_events") == [(len(SLUGS),)]
    assert shop.converge(*SLUGS, templates=[SLOW])["changed"] is False


def test_a_run_that_is_killed_leaves_no_half_tenant(shop):
    request = shop.request("alpha", "bravo", templates=[SLOW])
    shop.converge("alpha", templates=[SLOW])
    request["templates"] = [
        SLOW,
        {**STUCK, "name": "0002_stuck.sql", "sql": "CREATE TABLE orders (); SELECT pg_sleep(60);"},
    ]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen([sys.executable, "-c", PROGRAM], stdin=subprocess.PIPE, env=environment)
    process.stdin.write(json.dumps(request).encode())
    process.stdin.close()
    end = time.monotonic() + 20
    stuck = "SELECT pid FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'CREATE TABLE orders%'"
    while not shop.query(stuck):
        assert time.monotonic() < end
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    shop.query(stuck.replace("pid", "pg_terminate_backend(pid)", 1))
    assert shop.query("SELECT slug FROM slipway.tenants") == [("alpha",)]
    assert shop.query("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'tenant%'") == [("tenant_alpha",)]
    assert shop.query("SELECT tablename FROM pg_tables WHERE schemaname = 'tenant_alpha'") == [("products",)]
    good = {"name": "0002_orders.sql", "sql": "CREATE TABLE orders ();"}
    after = shop.converge("alpha", "bravo", templates=[SLOW, good])
    assert after["summary"]["failed"] == 0
    assert after["tenants"][0]["actions"] == ["run 0002_orders.sql"]


def test_a_lost_connection_fails_one_tenant_and_skips_the_rest(shop):
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(shop.converge, "alpha", "bravo", templates=[STUCK], workers=1)
        end = time.monotonic() + 20
        active = (
            "SELECT pid FROM pg_stat_activity WHERE application_name = 'slipway tenants' AND wait_event = 'PgSleep'"
        )
        while not shop.query(active):
            assert time.monotonic() < end
            time.sleep(0.05)
        shop.query(active.replace("pid", "pg_terminate_backend(pid)", 1))
        result = running.result(20)
    assert result["tenants"][0]["error"]
    assert result["tenants"][1]["skipped"] is True
    assert result["changed"] is True  # schema slipway was created
    assert shop.query("SELECT count(*) FROM slipway.tenants") == [(0,)]


def test_the_timer_and_a_release_at_once_make_each_sign_up_once(shop, tmp_path, monkeypatch):
    """Both work on the same new rows: the one by the registry, the other by its timer."""
    monkeypatch.setattr(problems, "NOTES", tmp_path)
    names = "'shop' || lpad(number::text, 2, '0') FROM generate_series(0, 11) AS number"
    shop.query(f"INSERT INTO public.tenants (subdomain) SELECT {names}")
    request = shop.request(templates=[SLOW], source="registry")
    start = threading.Barrier(2)

    def release():
        start.wait()
        return [tenant["slug"] for tenant in engine.converge(request, Emitter.null())["tenants"] if tenant["changed"]]

    def timer():
        start.wait()
        found = reconcile.reconcile("shop", request, Emitter.null())
        assert found["problems"] == []
        return found["changed"]

    with ThreadPoolExecutor(2) as pool:
        made = [each.result() for each in (pool.submit(release), pool.submit(timer))]
    assert sorted(made[0] + made[1]) == SLUGS
    assert shop.query("SELECT count(*) FROM slipway.tenant_events") == [(len(SLUGS),)]
    assert reconcile.reconcile("shop", request, Emitter.null())["changed"] == []
