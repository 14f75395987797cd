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

from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError
from ansible_collections.slipway.vps.plugins.module_utils.tenancy import templates
from ansible_collections.slipway.vps.plugins.module_utils.tenancy.templates import Template

from .test_concurrency import PROGRAM
from .test_converge import only

INIT = {"name": "0001_init.sql", "sql": "CREATE TABLE products (id serial PRIMARY KEY, name text NOT NULL);\n"}
INDEX = {
    "name": "0002_index.sql",
    "sql": "-- Looked up by name.\n-- slipway: no-transaction\n"
    "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS products_name ON products (name);\n",
}
AFTER = {"name": "0003_orders.sql", "sql": "CREATE TABLE orders (id serial PRIMARY KEY);\n"}
INDEXES = (
    "SELECT i.indisvalid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE c.relname = 'products_name'"
)
LEDGER = "SELECT slug, template FROM slipway.tenant_migrations ORDER BY 1, 2"
BUILDING = "SELECT pid FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%INDEX CONCURRENTLY IF NOT%'"
BUILDING += " AND pid <> pg_backend_pid()"


def until(condition):
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("sql", "word"),
    [
        ("-- slipway: no-transactoin\nSELECT 1", "which means nothing"),
        ("-- slipway: no-transaction\nVACUUM; ANALYZE", "has 2 statements"),
        ("-- slipway: no-transaction\nCREATE INDEX CONCURRENTLY i ON t (a)", "could not run again"),
        ("-- slipway: no-transaction\ncreate unique /* x */ index concurrently on t (a)", "could not run again"),
        ("-- slipway: no-transaction\nDROP INDEX CONCURRENTLY i", "could not run again"),
        ("-- slipway: no-transaction\nCOMMIT", "its own COMMIT"),
    ],
)
def test_a_bad_marked_template_is_a_sentence(sql, word):
    with pytest.raises(SlipwayError, match=word) as caught:
        templates.check(Template("0001_init.sql", sql))
    assert caught.value.hint


def test_the_mark_counts_in_the_head_only():
    assert Template("0001_a.sql", "\n  -- why\n--slipway:no-transaction\n\nVACUUM t").transactional is False
    assert Template("0001_a.sql", "SELECT 1;\n-- slipway: no-transaction").transactional is True
    assert Template("0001_a.sql", "SELECT '\n-- slipway: no-transaction'").transactional is True


def test_it_runs_in_its_order_as_the_tenant_and_once(shop):
    planned = shop.converge("alpha", "bravo", templates=[INIT, INDEX, AFTER], check=True)
    done = shop.converge("alpha", "bravo", templates=[INIT, INDEX, AFTER])
    assert planned["tenants"] == done["tenants"]
    assert planned["diff"] == done["diff"]
    assert done["tenants"][0]["actions"][-3:] == ["run 0001_init.sql", "run 0002_index.sql", "run 0003_orders.sql"]
    assert shop.query(INDEXES) == [(True,), (True,)]
    owners = "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'tenant_alpha'"
    assert shop.query(owners) == [(f"{shop.prefix}alpha",)]
    assert shop.converge("alpha", "bravo", templates=[INIT, INDEX, AFTER])["changed"] is False
    # the transaction before it, itself, and the one after it
    assert shop.query("SELECT count(*) FROM slipway.tenant_events WHERE slug = 'alpha'") == [(3,)]
    locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
    assert shop.query(locks) == [(0,)]


def test_without_the_mark_the_way_out_is_named(shop):
    plain = {**INDEX, "sql": INDEX["sql"].replace("slipway", "once")}
    error = only(shop.converge("alpha", templates=[INIT, plain]))["error"]
    assert "cannot run inside a transaction block" in error
    assert "-- slipway: no-transaction" in error


def test_an_invalid_index_is_told_and_dropped_by_the_next_run(shop):
    shop.converge("alpha", "bravo", templates=[INIT])
    shop.query("INSERT INTO tenant_alpha.products (name) VALUES ('ball'), ('ball')")
    failed = shop.converge("alpha", "bravo", templates=[INIT, INDEX, AFTER])
    alpha, bravo = failed["tenants"]
    assert "could not create unique index" in alpha["error"]
    assert "It left the invalid index products_name behind, which the next run drops." in alpha["error"]
    assert (alpha["changed"], bravo["error"]) == (False, None)
    assert sorted(shop.query(INDEXES)) == [(False,), (True,)]
    shop.query("DELETE FROM tenant_alpha.products WHERE id = 2")
    planned = shop.converge("alpha", "bravo", templates=[INIT, INDEX, AFTER], check=True)
    mended = shop.converge("alpha", "bravo", templates=[INIT, INDEX, AFTER])
    assert planned["tenants"] == mended["tenants"]
    assert mended["tenants"][0]["actions"] == [
        "drop invalid index products_name in tenant_alpha, left by an earlier run",
        "run 0002_index.sql",
        "run 0003_orders.sql",
    ]
    assert shop.query(INDEXES) == [(True,), (True,)]
    assert shop.converge("alpha", "bravo", templates=[INIT, INDEX, AFTER])["changed"] is False


def test_what_was_done_before_a_failure_is_reported_and_kept(shop):
    bad = {**INDEX, "sql": INDEX["sql"].replace("(name)", "(no_such)")}
    result = shop.converge("alpha", templates=[INIT, bad])
    assert 'column "no_such" does not exist' in only(result)["error"]
    assert result["changed"] is True
    assert only(result)["actions"][-1] == "run 0001_init.sql"
    assert shop.query(LEDGER) == [("alpha", "0001_init.sql")]
    assert only(shop.converge("alpha", templates=[INIT, INDEX]))["actions"] == ["run 0002_index.sql"]


@pytest.mark.parametrize("server_goes_on", [True, False])
def test_a_run_that_is_killed_while_an_index_is_built(shop, server_goes_on):
    shop.converge("alpha", templates=[INIT])
    holder = shop.server.connect(shop.database)
    holder.autocommit = False
    holder.cursor().execute("INSERT INTO tenant_alpha.products (name) VALUES ('ball')")  # the build waits for its end
    try:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        process = subprocess.Popen([sys.executable, "-c", PROGRAM], stdin=subprocess.PIPE, env=environment)
        process.stdin.write(json.dumps(shop.request("alpha", templates=[INIT, INDEX, AFTER])).encode())
        process.stdin.close()
        until(lambda: shop.query(BUILDING))
        process.send_signal(signal.SIGKILL)
        process.wait(10)
        if not server_goes_on:
            shop.query(BUILDING.replace("pid", "pg_terminate_backend(pid)", 1))
            until(lambda: not shop.query(BUILDING))
        with ThreadPoolExecutor(1) as pool:
            again = pool.submit(shop.converge, "alpha", templates=[INIT, INDEX, AFTER])
            time.sleep(1.5)  # longer than deadlock_timeout: the two must not wait for each other
            holder.rollback()
            result = again.result(30)
    finally:
        holder.close()
    assert only(result)["error"] is None
    assert only(result)["actions"][-2:] == ["run 0002_index.sql", "run 0003_orders.sql"]
    assert shop.query(INDEXES) == [(True,)]
    assert shop.converge("alpha", templates=[INIT, INDEX, AFTER])["changed"] is False


def test_an_index_that_somebody_else_is_building_is_left_alone(shop):
    shop.converge("alpha", templates=[INIT])
    holder = shop.server.connect(shop.database)
    holder.autocommit = False
    holder.cursor().execute("INSERT INTO tenant_alpha.products (name) VALUES ('ball')")
    statement = "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS products_name ON tenant_alpha.products (name)"
    with ThreadPoolExecutor(1) as pool:
        building = pool.submit(shop.query, statement)
        until(lambda: shop.query(BUILDING))
        error = only(shop.converge("alpha", templates=[INIT, INDEX], lock_wait=1))["error"]
        holder.rollback()
        holder.close()
        building.result(20)
    assert "0002_index.sql" in error
    assert shop.query(INDEXES) == [(True,)]
    assert only(shop.converge("alpha", templates=[INIT, INDEX]))["error"] is None


def test_two_runs_at_once_build_each_index_once(shop):
    slugs = [f"shop{number}" for number in range(4)]
    start = threading.Barrier(2)

    def run(names):
        start.wait()
        return shop.converge(*names, templates=[INIT, INDEX, AFTER])

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(run, (slugs, slugs[::-1])))
    assert [tenant["error"] for result in results for tenant in result["tenants"]] == [None] * 8
    ran = [action for result in results for tenant in result["tenants"] for action in tenant["actions"]]
    assert ran.count("run 0002_index.sql") == 4
    assert shop.query(INDEXES) == [(True,)] * 4
