# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A run that is killed leaves whole tenants only, and the next run makes the rest of them."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest

from .test_no_transaction import AFTER, INDEX, INIT

TEMPLATES = [INIT, INDEX, AFTER]
# Dies right before or right after its n-th statement, which is every point at which something else is true outside.
PROGRAM = """
import json, os, signal, sys
from ansible_collections.slipway.vps.plugins.module_utils.common.events import Emitter
from ansible_collections.slipway.vps.plugins.module_utils.tenancy import engine, session

left, before = int(sys.argv[1]), sys.argv[2] == "before"

def dying(method):
    def wrapped(self, *words):
        global left
        left -= 1
        if left == 0 and before:
            os.kill(os.getpid(), signal.SIGKILL)
        answer = method(self, *words)
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer
    return wrapped

for name in ("run", "rows", "commit"):
    setattr(session.Session, name, dying(getattr(session.Session, name)))
engine.converge(json.load(sys.stdin), Emitter.null())
"""


def begin(request, *words):
    """The run, in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, *words], stdin=subprocess.PIPE, env=environment)
    process.stdin.write(json.dumps(request).encode())
    process.stdin.close()
    return process


def whole(shop):
    """What is on record is there, what is there is on record, and the ledger tells what a schema holds."""
    recorded = shop.query("SELECT schema_name, role_name FROM slipway.tenants ORDER BY 1")
    schemas = shop.query("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'tenant%' ORDER BY 1")
    roles = {row[0] for row in shop.query("SELECT rolname FROM pg_roles")}
    mine = {role for role in roles if role.startswith(shop.prefix)} - {shop.application}
    assert [row[:1] for row in recorded] == schemas
    assert {row[1] for row in recorded} == mine
    rows = shop.query("SELECT count(*) FROM public.tenants")[0][0]
    assert rows == len(recorded)
    ledger = shop.query("SELECT template, 'tenant_' || slug FROM slipway.tenant_migrations")
    tables = shop.query("SELECT tablename, schemaname FROM pg_tables")
    for template, table in ((INIT, "products"), (AFTER, "orders")):
        ran = {schema for name, schema in ledger if name == template["name"]}
        assert ran == {schema for name, schema in tables if name == table}
    ready = shop.query(
        "SELECT relnamespace::regnamespace::text FROM pg_index JOIN pg_class c ON c.oid = indexrelid"
        " WHERE relname = 'products_name' AND indisvalid"
    )
    assert {schema for name, schema in ledger if name == INDEX["name"]} <= {row[0] for row in ready}


def settled(shop):
    """The server notices that its client has gone."""
    mine = "SELECT pid FROM pg_stat_activity WHERE application_name = 'slipway tenants'"
    end = time.monotonic() + 20
    while shop.query(mine):
        assert time.monotonic() < end
        time.sleep(0.02)


def recover(shop, *slugs):
    settled(shop)
    if shop.query("SELECT to_regclass('slipway.tenants')") != [(None,)]:
        whole(shop)
    result = shop.converge(*slugs, templates=TEMPLATES)
    assert [tenant["error"] for tenant in result["tenants"]] == [None] * len(slugs)
    whole(shop)
    assert shop.query("SELECT count(*) FROM pg_index WHERE NOT indisvalid") == [(0,)]
    assert shop.converge(*slugs, templates=TEMPLATES)["changed"] is False


def killed_at(shop, number, side):
    """One run that dies at its n-th statement, and what the next one makes of it. The first one's exit status."""
    slugs = [f"old{number}", f"new{number}"]
    if number > 1:
        shop.converge(slugs[0], templates=[INIT])  # it lacks the later templates
    code = begin(shop.request(*slugs, templates=TEMPLATES, workers=1), str(number), side).wait(60)
    recover(shop, *slugs)
    return code


@pytest.mark.parametrize(("side", "first"), [("before", 1), ("after", 5)])
def test_killed_at_some_statements(shop, side, first):
    """At all of them: tests/long/test_tenants_killed.py."""
    for number in range(first, 46, 9):
        assert killed_at(shop, number, side) == -signal.SIGKILL


@pytest.mark.parametrize("seed", range(4))
def test_killed_at_any_moment_with_another_run_beside_it(shop, seed):
    slugs = [f"shop{number}" for number in range(6)]
    chance = random.Random(seed)  # noqa: S311 - the same delays in every run
    for _again in range(2):
        processes = [begin(shop.request(*names, templates=TEMPLATES), "0", "after") for names in (slugs, slugs[::-1])]
        time.sleep(0.3 + chance.random() * 0.8)
        processes[0].send_signal(signal.SIGKILL)
        assert processes[0].wait(30) in (0, -signal.SIGKILL)
        assert processes[1].wait(60) == 0
    recover(shop, *slugs)
    assert shop.query("SELECT count(*) FROM slipway.tenants") == [(6,)]
