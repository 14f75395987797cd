# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A database's drill: restored into a throw-away server, compared with its manifest, asked the team's questions."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from ..common import require
from ..common.errors import SlipwayError
from ..common.events import Emitter
from ..postgres.connection import connect
from ..postgres.options import PostgresOptions
from . import containers, database, filling, schema
from .drill_options import Query
from .drill_result import Drill
from .drill_server import Server
from .manifest import Manifest
from .restore import SHOWN, differences
from .snapshot import Snapshot
from .source import Client
from .spec import Spec
from .store import Store

APPLICATION = "slipway drill"
# A server has these already; the copy of a database with such a name gets another one.
TAKEN = ("postgres", "template0", "template1")
RESTORED = "restored"
LONGEST_VALUE = 80


def trial(spec: Spec, store: Store, known: Manifest, drill: Drill, emitter: Emitter) -> None:
    """Fills in the document as it goes; raises with the reason if the backup is not what it says."""
    with containers.engine() as engine:
        server = Server(engine, spec, known, drill.id)
        try:
            with emitter.phase("server"):
                server.start()
            drill.image, drill.server_version = server.image, server.version
            name = RESTORED if known.database in TAKEN else known.database
            _restore(spec, store, known, drill, emitter, server, name)
            options = replace(server.outside, database=name)
            with emitter.phase("compare"):
                _compare(known, drill, options)
            with emitter.phase("queries"):
                _ask(spec.drill.queries, spec.drill.query_seconds, drill, options)
        finally:
            server.remove()


def _restore(
    spec: Spec, store: Store, known: Manifest, drill: Drill, emitter: Emitter, server: Server, name: str
) -> None:
    """As a restore beside does it; from the empty server to the last statistics it is timed."""
    client = Client(server.inside, APPLICATION)
    started = time.monotonic()
    with emitter.phase("roles"):
        filling.create_roles(spec, store, known, client, server.outside)
    with database.session(server.outside, "template1") as cursor:
        database.create(cursor, name, known.properties)
    with emitter.phase("restore"):
        filling.fill(spec, store, known, client, name, emitter, server.watch)
    with emitter.phase("analyze"):
        database.analyze(server.outside, name)
    drill.restore_seconds = round(time.monotonic() - started, 2)


def _compare(known: Manifest, drill: Drill, options: PostgresOptions) -> None:
    with Snapshot(options, APPLICATION) as snapshot:
        facts = snapshot.facts
        found = snapshot.count(facts.tables)
        digests = snapshot.schema()
    drill.tables, drill.rows = len(found), sum(found.values())
    wrong: list[str] = []
    if known.row_counts:
        drill.compared.append("rows")
        wrong += differences(known.tables, found)
    drill.compared.append("extensions")
    wrong += [
        f"extension {one} is {facts.extensions.get(one, 'missing')} instead of {version}"
        for one, version in known.extensions.items()
        if facts.extensions.get(one) != version
    ]
    wanted = known.details.get("schema") or {}
    if wanted and digests:
        drill.compared.append("schema")
        wrong += [f"the {one} are not those of the manifest" for one in schema.differences(wanted, digests)]
    if wrong:
        more = f" (and {len(wrong) - SHOWN} more)" if len(wrong) > SHOWN else ""
        raise SlipwayError(
            f"The restored database does not equal backup {known.id}: {'; '.join(wrong[:SHOWN])}{more}.",
            hint="Make a new backup and drill it; look at what wrote to the bucket.",
        )


def _ask(queries: tuple[Query, ...], seconds: int, drill: Drill, options: PostgresOptions) -> None:
    """All of them, each on its own: the first that is wrong is not the only one that is told."""
    wrong = []
    for query in queries:
        started = time.monotonic()
        problem = _problem(query, seconds, options)
        drill.queries.append(
            {
                "name": query.name,
                "result": "failed" if problem else "good",
                "reason": problem,
                "seconds": round(time.monotonic() - started, 3),
            }
        )
        if problem:
            wrong.append(f"{query.name}: {problem}")
    if wrong:
        raise SlipwayError(
            f"A check query says no: {'; '.join(wrong[:SHOWN])}.",
            hint="Correct backup_drill_queries if the question is wrong; else the data is.",
        )


def _problem(query: Query, seconds: int, options: PostgresOptions) -> str:
    """What is wrong with the answer; nothing if it is the expected one."""
    psycopg2 = require.load("psycopg2", "python3-psycopg2")
    connection = connect(options, application=APPLICATION)
    try:
        connection.set_session(readonly=True, autocommit=False)
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('statement_timeout', %s, false)", [f"{seconds}s"])
            cursor.execute(query.query)
            rows: list[tuple[Any, ...]] = cursor.fetchmany(2) if cursor.description else []
    except psycopg2.Error as error:
        return " ".join(str(error).split())[: 2 * LONGEST_VALUE]
    finally:
        connection.close()
    if len(rows) != 1 or len(rows[0]) != 1:
        return "it has to give one row with one value"
    if not query.meets(rows[0][0]):
        return f"{str(rows[0][0])[:LONGEST_VALUE]} instead of {str(query.expected)[:LONGEST_VALUE]}"
    return ""
