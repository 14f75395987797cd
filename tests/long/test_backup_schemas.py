# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""5,000 schemas: the number of locks to set is told, it is enough, and one schema comes back alone."""

from __future__ import annotations

import re
import time
from dataclasses import replace

import pytest

from ansible_collections.slipway.vps.plugins.module_utils.backup import engine, restore, verify
from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError
from ansible_collections.slipway.vps.plugins.module_utils.common.events import Emitter
from ansible_collections.slipway.vps.tests.unit.backup.conftest import (
    database,
    own_server,
    postgres,
    s3,
    shop,
    state_directory,
)

__all__ = ["database", "own_server", "postgres", "s3", "shop", "state_directory"]

SCHEMAS = 5000
FILL = """
DO $$ BEGIN FOR n IN {first}..{last} LOOP
  EXECUTE format('CREATE SCHEMA tenant_%s; CREATE TABLE tenant_%s.orders (id int PRIMARY KEY, note text);'
    'CREATE TABLE tenant_%s.lines (id int); INSERT INTO tenant_%s.orders VALUES (1, %L)', n, n, n, n, md5(n::text));
END LOOP; END $$
"""


def test_five_thousand_schemas(shop, own_server, capsys):
    own_server.new_database(shop.name)
    own_server.stop()
    # To make them takes few locks at a time, as sign-ups do.
    own_server.start("max_locks_per_transaction=64", "max_connections=20")
    for first in range(1, SCHEMAS + 1, 100):
        own_server.query(FILL.format(first=first, last=first + 99), shop.name)
    spec = shop.but(postgres=replace(shop.spec.postgres, port=own_server.port))
    sentence = rf"needs a lock on each of {2 * SCHEMAS} tables, the server has room"
    with pytest.raises(SlipwayError, match=sentence) as caught:
        engine.run(spec, Emitter.null())
    enough = re.search(r"max_locks_per_transaction to at least (\d+)", caught.value.hint)[1]
    own_server.stop()
    own_server.start(f"max_locks_per_transaction={enough}", "max_connections=20")
    started = time.monotonic()
    made = engine.run(spec, Emitter.null())["backup"]
    dumped = time.monotonic() - started
    assert len(made["tables"]) == 2 * SCHEMAS
    verify.verify(spec, made["id"], Emitter.null())
    own_server.query("DROP SCHEMA tenant_4711 CASCADE", shop.name)
    started = time.monotonic()
    wanted = {"id": made["id"], "target": "in_place", "schemas": ["tenant_4711"]}
    restore.run(spec, restore.Request.from_dict(wanted), Emitter.null())
    back = own_server.query("SELECT note = md5('4711') FROM tenant_4711.orders", shop.name)
    assert back == [(True,)]
    with capsys.disabled():
        print(f"\n{SCHEMAS} schemas: backup {dumped:.0f} s, one schema back in {time.monotonic() - started:.0f} s")
