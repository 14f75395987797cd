# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Databases as whole things: made, filled beside, swapped by name. SQL through psycopg2.sql only."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..common import require
from ..common.errors import SlipwayError
from ..postgres import failure
from ..postgres.connection import connect
from ..postgres.options import PostgresOptions
from .source import Selection, split

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection

APPLICATION = "slipway restore"
NAME_BYTES = 63
DRAIN_SECONDS = 15.0

TERMINATE = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()"
GRANTS = """
SELECT CASE WHEN a.grantee = 0 THEN NULL ELSE pg_get_userbyid(a.grantee) END, a.privilege_type, a.is_grantable
FROM pg_database d, aclexplode(d.datacl) a WHERE d.datname = %s AND a.grantee <> d.datdba
"""
SETTINGS = """
SELECT CASE WHEN s.setrole = 0 THEN NULL ELSE pg_get_userbyid(s.setrole) END, c.setting
FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase, unnest(s.setconfig) AS c(setting)
WHERE d.datname = %s
"""
DEPENDENTS = """
SELECT DISTINCT format('%%I.%%I', n.nspname, c.relname) FROM (
  SELECT conrelid AS oid FROM pg_constraint WHERE contype = 'f' AND confrelid = %(table)s::regclass
  UNION
  SELECT r.ev_class FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid
  WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = %(table)s::regclass
) found JOIN pg_class c ON c.oid = found.oid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid <> %(table)s::regclass ORDER BY 1
"""


@contextmanager
def session(options: PostgresOptions, database: str) -> Iterator[Any]:
    """A cursor in autocommit; what the server refuses becomes a sentence."""
    psycopg2 = require.load("psycopg2", "python3-psycopg2")
    connection: Connection = connect(replace(options, database=database), application=APPLICATION)
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("SET statement_timeout = 0")
            yield cursor
    except psycopg2.Error as error:
        raise failure.sentence(error) from None
    finally:
        connection.close()


def administrative(options: PostgresOptions) -> str:
    """A database to stand in while the stack's own is made, renamed or dropped."""
    return "template1" if options.database == "postgres" else "postgres"


def name_beside(database: str, word: str, identity: str) -> str:
    """`shop` -> `shop_before_20261121t041135z_ab12cd`, short enough for PostgreSQL."""
    suffix = f"_{word}_{identity.lower().replace('-', '_')}"
    room = NAME_BYTES - len(suffix.encode())
    return database.encode()[:room].decode(errors="ignore") + suffix


def exists(cursor: Any, database: str) -> bool:
    cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", [database])
    return cursor.fetchone() is not None


def free_name(cursor: Any, wanted: str) -> str:
    """The wanted name, numbered when an earlier restore of the same backup took it."""
    name, number = wanted, 2
    while exists(cursor, name):
        name = wanted.encode()[: NAME_BYTES - 3].decode(errors="ignore") + f"_{number}"
        number += 1
    return name


def create(cursor: Any, database: str, properties: dict[str, str]) -> None:
    """An empty database with the encoding, locale and owner that the backup's had."""
    sql = require.load("psycopg2.sql", "python3-psycopg2")
    if exists(cursor, database):
        raise SlipwayError(
            f"A database named {database} exists already.", hint="Drop it, or give another name to restore into."
        )
    cursor.execute(
        sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0 ENCODING {} LC_COLLATE {} LC_CTYPE {}").format(
            sql.Identifier(database),
            sql.Identifier(properties["owner"]),
            sql.Literal(properties["encoding"]),
            sql.Literal(properties["collate"]),
            sql.Literal(properties["ctype"]),
        )
    )


def drop(cursor: Any, database: str) -> None:
    sql = require.load("psycopg2.sql", "python3-psycopg2")
    cursor.execute(TERMINATE, [database])
    cursor.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(database)))


def carry_rights(cursor: Any, source: str, target: str) -> None:
    """A database's own grants and settings are not in its dump: take them from the one that is replaced."""
    sql = require.load("psycopg2.sql", "python3-psycopg2")
    name = sql.Identifier(target)
    cursor.execute("SELECT datacl IS NULL FROM pg_database WHERE datname = %s", [source])
    if not cursor.fetchone()[0]:
        cursor.execute(GRANTS, [source])
        grants = cursor.fetchall()
        cursor.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(name))
        for grantee, privilege, grantable in grants:
            role = sql.Identifier(grantee) if grantee else sql.SQL("PUBLIC")
            option = sql.SQL(" WITH GRANT OPTION" if grantable else "")
            cursor.execute(sql.SQL("GRANT {} ON DATABASE {} TO {}{}").format(sql.SQL(privilege), name, role, option))
    cursor.execute(SETTINGS, [source])
    for role, setting in cursor.fetchall():
        variable, _equals, value = setting.partition("=")
        # Set here and taken over FROM CURRENT: a list such as search_path keeps its form that way.
        cursor.execute("SELECT set_config(%s, %s, false)", [variable, value])
        whom = (
            sql.SQL("ROLE {} IN DATABASE {}").format(sql.Identifier(role), name)
            if role
            else sql.SQL("DATABASE {}").format(name)
        )
        cursor.execute(sql.SQL("ALTER {} SET {} FROM CURRENT").format(whom, _variable(sql, variable)))
        cursor.execute(sql.SQL("RESET {}").format(_variable(sql, variable)))


def _variable(sql: Any, name: str) -> Any:
    return sql.SQL(".").join(sql.Identifier(part) for part in name.split("."))


def swap(cursor: Any, database: str, fresh: str, before: str) -> None:
    """`fresh` becomes `database`, which stays as `before`. One transaction renames both; nobody can connect between."""
    sql = require.load("psycopg2.sql", "python3-psycopg2")
    live, new, old = (sql.Identifier(name) for name in (database, fresh, before))
    had = exists(cursor, database)
    try:
        if had:
            cursor.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(live))
            _empty(cursor, database)
        cursor.execute("BEGIN")
        if had:
            cursor.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(live, old))
        cursor.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(new, live))
        cursor.execute("COMMIT")
    finally:
        cursor.execute("ROLLBACK")
        for name in (database, before):
            if exists(cursor, name):
                cursor.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(sql.Identifier(name)))


def _empty(cursor: Any, database: str) -> None:
    """End every session of the database and wait until they are gone."""
    deadline = time.monotonic() + DRAIN_SECONDS
    while True:
        cursor.execute(TERMINATE, [database])
        if not cursor.fetchall():
            return
        if time.monotonic() > deadline:
            raise SlipwayError(
                f"Sessions of database {database} did not end within {DRAIN_SECONDS:g} s.",
                hint="Look at pg_stat_activity; a prepared transaction has to be ended by hand.",
            )
        time.sleep(0.2)


def refuse_dependents(cursor: Any, tables: Sequence[str]) -> None:
    """A table that others refer to cannot be replaced by itself: they would go on with the old one."""
    for table in tables:
        oid = table_oid(cursor, table)
        if oid is None:
            continue
        cursor.execute(DEPENDENTS, {"table": oid})
        others = [name for (name,) in cursor.fetchall() if name not in tables]
        if others:
            raise SlipwayError(
                f"The table {table} cannot be replaced alone: {', '.join(others[:5])} depend on it.",
                hint="Choose its whole schema, or restore beside and merge the rows by hand.",
            )


def table_oid(cursor: Any, table: str) -> int | None:
    cursor.execute(
        "SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE n.nspname = %s AND c.relname = %s",
        list(split(table)),
    )
    row = cursor.fetchone()
    return int(row[0]) if row else None


def set_aside(cursor: Any, selection: Selection, identity: str) -> tuple[str, list[str]]:
    """The SQL that moves what is there out of the way, and what it will be called."""
    sql = require.load("psycopg2.sql", "python3-psycopg2")
    statements, kept = [], []
    for schema in selection.schemas:
        cursor.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", [schema])
        if cursor.fetchone():
            old = name_beside(schema, "before", identity)
            statements.append(
                sql.SQL("ALTER SCHEMA {} RENAME TO {};").format(sql.Identifier(schema), sql.Identifier(old))
            )
            kept.append(old)
    drawer = name_beside("", "before", identity).lstrip("_")
    for table in selection.tables:
        if table_oid(cursor, table) is not None:
            statements.append(sql.SQL("CREATE SCHEMA IF NOT EXISTS {};").format(sql.Identifier(drawer)))
            statements.append(
                sql.SQL("ALTER TABLE {} SET SCHEMA {};").format(sql.Identifier(*split(table)), sql.Identifier(drawer))
            )
            kept.append(f"{drawer}.{split(table)[1]}")
    return "\n".join(str(statement.as_string(cursor.connection)) for statement in statements), kept


def missing_roles(cursor: Any, roles: Sequence[str]) -> list[str]:
    cursor.execute("SELECT rolname FROM pg_roles")
    present = {name for (name,) in cursor.fetchall()}
    return [role for role in roles if role not in present]


def analyze(options: PostgresOptions, database: str) -> None:
    """A restored database has no statistics until somebody gathers them."""
    with session(options, database) as cursor:
        cursor.execute("ANALYZE")
