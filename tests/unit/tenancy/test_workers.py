# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError
from ansible_collections.slipway.vps.plugins.module_utils.common.events import Emitter
from ansible_collections.slipway.vps.plugins.module_utils.tenancy import engine, spec

from .test_concurrency import SLOW, STUCK
from .test_migrations import BAD, INIT

SLUGS = [f"shop{number:02}" for number in range(9)]
SLEEPING = {"name": "0001_init.sql", "sql": "CREATE TABLE products (name text); SELECT pg_sleep(0.3);"}
ASLEEP = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"


@pytest.mark.parametrize(("workers", "most"), [(1, 1), (3, 3)])
def test_so_many_work_at_once_and_no_more_and_the_answer_keeps_its_order(shop, workers, most):
    seen = []
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(shop.converge, *SLUGS, templates=[SLEEPING], workers=workers)
        while not running.done():
            seen.append(shop.query(ASLEEP)[0][0])
    result = running.result()
    assert max(seen) == most
    assert [tenant["slug"] for tenant in result["tenants"]] == SLUGS
    assert [tenant["error"] for tenant in result["tenants"]] == [None] * len(SLUGS)
    assert shop.converge(*SLUGS, templates=[SLEEPING], workers=workers)["changed"] is False


def test_the_answer_is_the_same_whatever_the_number_of_workers(shop):
    bad = {"slug": "bravo", "plan": "no such plan"}
    one = shop.converge("alpha", bad, "charlie", "delta", workers=1, check=True)
    four = shop.converge("alpha", bad, "charlie", "delta", workers=4)
    assert one["tenants"] == four["tenants"]
    assert (one["diff"], one["summary"]) == (four["diff"], four["summary"])


def test_one_failure_stops_what_was_not_begun(shop):
    first = {**BAD, "name": "0001_bad.sql"}
    result = shop.converge(*SLUGS, templates=[first], workers=2, on_error="stop")
    skipped = [tenant["skipped"] for tenant in result["tenants"]]
    assert skipped[-6:] == [True] * 6
    assert 1 <= result["summary"]["failed"] <= 3
    assert shop.query("SELECT count(*) FROM slipway.tenants") == [(0,)]


def test_a_server_with_few_connections_is_worked_with_fewer(shop):
    owner = f"{shop.prefix}owner"
    shop.server.query(f"CREATE ROLE {owner} SUPERUSER LOGIN CONNECTION LIMIT 1 PASSWORD 'owner-secret'")
    shop.server.query(f"ALTER ROLE {owner} NOSUPERUSER CREATEROLE")
    shop.server.query(f'ALTER DATABASE "{shop.database}" OWNER TO {owner}')
    shop.query(f"ALTER TABLE public.tenants OWNER TO {owner}; ALTER TABLE public.plans OWNER TO {owner}")
    result = shop.converge(*SLUGS, workers=4, login_user=owner, login_password="owner-secret")
    assert result["summary"]["changed"] == len(SLUGS)


def test_the_canary_goes_first_and_alone(shop):
    order = "SELECT slug FROM slipway.tenant_events ORDER BY id"
    shop.converge(*SLUGS, templates=[SLOW], canary="shop05", workers=3)
    assert shop.query(order)[0] == ("shop05",)


def test_a_failing_canary_saves_the_others_whatever_the_policy(shop):
    shop.converge(*SLUGS, templates=[INIT])
    result = shop.converge(*SLUGS, templates=[INIT, BAD], canary="shop05", on_error="continue")
    assert result["summary"] == {"total": 9, "changed": 0, "failed": 1, "skipped": 8, "unchanged": 0}
    error = result["tenants"][5]["error"]
    assert error.startswith("The SQL template 0002_more.sql failed for tenant shop05")
    assert error.endswith("It is the canary: no other tenant was begun.")
    assert engine.verdict(result) == f"shop05: {error}"


def test_a_canary_must_be_one_of_the_tenants(shop):
    for source in ("inventory", "registry"):
        with pytest.raises(SlipwayError, match="canary zulu is not among the tenants"):
            shop.converge("alpha", canary="zulu", source=source)


@pytest.mark.parametrize("workers", [0, 17, "many", True])
def test_a_senseless_number_of_workers_is_a_sentence(workers):
    with pytest.raises(SlipwayError, match="number of workers"):
        spec.parse({"tenants": [{"slug": "alpha"}], "workers": workers})


def test_a_run_that_is_told_to_stop_ends_at_once_and_keeps_nothing_half(shop):
    """The agent's SIGTERM is an exception in the thread that reports progress."""
    sql = "CREATE TABLE products (); SELECT pg_sleep(60) WHERE current_schema = 'tenant_stuck';"
    before = threading.active_count()
    start = time.monotonic()

    def stop(event):
        raise SlipwayError("The job was stopped by signal 15.")

    request = shop.request("stuck", "quick", templates=[{**STUCK, "sql": sql}], workers=2)
    with pytest.raises(SlipwayError, match="signal 15"):
        engine.converge(request, Emitter(stop))
    assert time.monotonic() - start < 20
    assert shop.query("SELECT slug FROM slipway.tenants") == [("quick",)]
    assert shop.query("SELECT pid FROM pg_stat_activity WHERE wait_event = 'PgSleep'") == []
    assert threading.active_count() == before
