# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One moment of the database, shared: pg_dump reads it, and the rows are counted in it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from ..common import require
from ..common.errors import SlipwayError
from ..postgres import failure
from ..postgres.connection import connect
from ..postgres.options import PostgresOptions
from . import schema

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection

T = TypeVar("T")

COUNT_BATCH = 50
LOCK_STEP = 64

FACTS = """
SELECT current_setting('server_version_num')::int, current_setting('server_version'), pg_export_snapshot(),
       (CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END)::text,
       to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), pg_database_size(current_database()),
       current_setting('max_locks_per_transaction')::int,
       current_setting('max_connections')::int + current_setting('max_prepared_transactions')::int,
       (SELECT rolname FROM pg_roles WHERE oid = 10),
       (SELECT setting FROM pg_settings WHERE name = 'shared_preload_libraries')
"""
TABLES = """
SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND c.relpersistence <> 't'
  AND NOT EXISTS (
    SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
ORDER BY 1, 2
"""
EXTENSIONS = "SELECT extname, extversion FROM pg_extension ORDER BY 1"
ROLES = "SELECT rolname FROM pg_roles WHERE rolname !~ '^pg_' ORDER BY 1"
PROPERTIES = """
SELECT pg_get_userbyid(datdba), pg_encoding_to_char(encoding), datcollate, datctype
FROM pg_database WHERE datname = current_database()
"""
LEFTOVERS = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE application_name = %s AND pid <> pg_backend_pid() AND usename = current_user
"""


@dataclass(frozen=True)
class Facts:
    """What is known about the database at the moment of the snapshot."""

    server_number: int
    server_version: str
    snapshot: str
    wal_lsn: str
    time: str
    database_bytes: int
    locks_per_transaction: int
    transactions: int
    tables: list[tuple[str, str]]
    extensions: dict[str, str]
    roles: list[str]
    properties: dict[str, str]
    superuser: str = ""
    preload: str = ""


class Snapshot:
    """`with Snapshot(options) as snapshot:` holds the moment open; `facts.snapshot` is its name for pg_dump."""

    def __init__(self, options: PostgresOptions, application: str) -> None:
        self._application = application
        self._connection: Connection = connect(options, application=application)
        try:
            self.facts = self._guarded(lambda: self._open(application))
        except BaseException:
            self._connection.close()
            raise

    def __enter__(self) -> Snapshot:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._end_dump()
        self._connection.close()

    def _end_dump(self) -> None:
        """A dump inside a container survives the client that started it: end its session at the server."""
        psycopg2 = require.load("psycopg2", "python3-psycopg2")
        # The server may be what failed; then there is no session to end.
        with suppress(psycopg2.Error), self._connection.cursor() as cursor:
            self._connection.cancel()  # the counting, if it still goes on
            self._connection.rollback()
            cursor.execute(LEFTOVERS, [self._application])

    def _guarded(self, work: Callable[[], T]) -> T:
        psycopg2 = require.load("psycopg2", "python3-psycopg2")
        try:
            return work()
        except psycopg2.Error as error:
            raise failure.sentence(error) from None

    def _open(self, application: str) -> Facts:
        self._connection.set_session(isolation_level="REPEATABLE READ", readonly=True, autocommit=False)
        with self._connection.cursor() as cursor:
            # What a killed run of the same stack left behind would go on reading for nothing.
            cursor.execute(LEFTOVERS, [application])
            self._connection.commit()
            cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
            cursor.execute("SET LOCAL statement_timeout = 0")
            cursor.execute("SET LOCAL row_security = off")
            # Thousands of tables: the catalogue is sorted in memory, and no query is compiled (servers since 11).
            cursor.execute("SET LOCAL work_mem = '64MB'")
            cursor.execute("SELECT set_config(name, 'off', true) FROM pg_settings WHERE name = 'jit'")
            cursor.execute(FACTS)
            row = cursor.fetchone()
            if row is None:
                raise AssertionError("a SELECT without FROM has one row")
            properties = self._all(cursor, PROPERTIES)[0]
            number, version, name, lsn, moment, size, locks, transactions, superuser, preload = row
            return Facts(
                server_number=number,
                server_version=version,
                snapshot=name,
                wal_lsn=lsn,
                time=moment,
                database_bytes=size,
                locks_per_transaction=locks,
                transactions=transactions,
                superuser=superuser,
                preload=preload or "",
                tables=self._all(cursor, TABLES),
                extensions=dict(self._all(cursor, EXTENSIONS)),
                roles=[role for (role,) in self._all(cursor, ROLES)],
                properties=dict(zip(("owner", "encoding", "collate", "ctype"), properties, strict=True)),
            )

    @staticmethod
    def _all(cursor: Any, query: str) -> list[Any]:
        cursor.execute(query)
        return list(cursor.fetchall())

    def count(self, tables: Sequence[tuple[str, str]]) -> dict[str, int]:
        """Rows per table, in this snapshot. A table that was dropped since (pg_dump fails on it too) is an error."""
        return self._guarded(lambda: {name: rows for part in _batches(tables) for name, rows in self._count(part)})

    def rows(self, statement: Any, values: Sequence[Any] | None = None) -> list[tuple[Any, ...]]:
        """What a query finds at this moment."""

        def ask() -> list[tuple[Any, ...]]:
            with self._connection.cursor() as cursor:
                cursor.execute(statement, values)
                return list(cursor.fetchall())

        return self._guarded(ask)

    def schema(self) -> dict[str, str]:
        """Digests of what the database is made of; see `schema`."""

        def ask() -> dict[str, str]:
            with self._connection.cursor() as cursor:
                return schema.digests(cursor, self.facts.server_number)

        return self._guarded(ask)

    def _count(self, tables: Sequence[tuple[str, str]]) -> list[tuple[str, int]]:
        with self._connection.cursor() as cursor:
            cursor.execute("SAVEPOINT slipway_count")
            cursor.execute(count_query(tables))
            found = [(str(name), int(rows)) for name, rows in cursor.fetchall()]
            # Back to the savepoint: the locks on these tables and their indexes are given back at once.
            cursor.execute("ROLLBACK TO SAVEPOINT slipway_count")
        return found


class Counting(threading.Thread):
    """Counts while pg_dump dumps: both read the same moment, and neither waits for the other."""

    def __init__(self, snapshot: Snapshot) -> None:
        super().__init__(name="slipway-count", daemon=True)
        self._snapshot = snapshot
        self._error: BaseException | None = None
        self._rows: dict[str, int] = {}
        self.schema: dict[str, str] = {}

    def run(self) -> None:
        try:
            self._rows = self._snapshot.count(self._snapshot.facts.tables)
            self.schema = self._snapshot.schema()
        except BaseException as error:
            # Raised again by `result`, in the thread that can act on it.
            self._error = error

    def result(self) -> dict[str, int]:
        self.join()
        if self._error:
            raise self._error
        return self._rows


def count_query(tables: Sequence[tuple[str, str]]) -> Any:
    """One query for some tables: `SELECT 'schema.table', count(*) FROM ONLY ...` joined by UNION ALL."""
    sql = require.load("psycopg2.sql", "python3-psycopg2")
    one = sql.SQL("SELECT {label}, count(*) FROM ONLY {table}")
    return sql.SQL(" UNION ALL ").join(
        one.format(label=sql.Literal(f"{schema}.{name}"), table=sql.Identifier(schema, name)) for schema, name in tables
    )


def row_counts(options: PostgresOptions, application: str) -> dict[str, int]:
    """The rows of every table of a database, now: what a restored one is compared by."""
    with Snapshot(options, application) as snapshot:
        return snapshot.count(snapshot.facts.tables)


def _batches(tables: Sequence[tuple[str, str]]) -> list[Sequence[tuple[str, str]]]:
    return [tables[start : start + COUNT_BATCH] for start in range(0, len(tables), COUNT_BATCH)]


def refuse_without_locks(facts: Facts) -> None:
    """pg_dump locks every table at once; a server that runs out of locks fails the application's queries too."""
    budget = facts.locks_per_transaction * facts.transactions
    if len(facts.tables) <= budget:
        return
    raise SlipwayError(
        f"The dump needs a lock on each of {len(facts.tables)} tables, the server has room for {budget}.",
        hint=f"Set max_locks_per_transaction to at least {locks_needed(facts)} and restart the database server.",
    )


def locks_needed(facts: Facts) -> int:
    """With a quarter to spare, rounded up to the step in which people set it."""
    exact = -(-len(facts.tables) * 5 // (4 * max(1, facts.transactions)))
    return -(-exact // LOCK_STEP) * LOCK_STEP
