# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a schema holds, as numbers that are equal wherever it lies: rows and a checksum of each table, objects by sort.

Nothing of a tenant's runs here: rows become text through their types' own output functions, not through casts, which
the owner of a table may define.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from ..common import require

if TYPE_CHECKING:
    from psycopg2.sql import Composable

Rows = Callable[..., list[tuple[Any, ...]]]

BATCH = 50

# How values are written as text depends on these. The schema comes last in the search path, so that names of its own
# are written without it.
FORMATS = {
    "datestyle": "ISO, YMD",
    "intervalstyle": "iso_8601",
    "timezone": "UTC",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "xmlbinary": "base64",
    "lc_monetary": "C",
}

TABLES = """
SELECT c.relname::text FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %s AND c.relkind = 'r' AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_depend d
    WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
ORDER BY 1
"""

# The sum over all rows does not depend on their order, and a lost or doubled row changes it.
TABLE = """
SELECT {name} AS name, count(*) AS rows,
       concat(coalesce(sum(('x' || left(h, 16))::bit(64)::bigint), 0), ':',
              coalesce(sum(('x' || right(h, 16))::bit(64)::bigint), 0)) AS checksum
FROM (SELECT md5(format('%s', t.*)) AS h FROM ONLY {table} AS t) AS hashed
"""

OBJECTS = """
SELECT sort, count(*)::int FROM (
    SELECT 'relation ' || c.relkind::text AS sort, c.oid, 'pg_class'::regclass AS class
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = {schema} AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'i', 'I')
    UNION ALL
    SELECT 'constraint ' || x.contype::text, x.oid, 'pg_constraint'::regclass
    FROM pg_constraint x JOIN pg_namespace n ON n.oid = x.connamespace
    WHERE n.nspname = {schema} AND x.contype IN ('c', 'f', 'p', 'u', 'x')
    UNION ALL
    SELECT 'trigger', g.oid, 'pg_trigger'::regclass
    FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = {schema} AND NOT g.tgisinternal
    UNION ALL
    SELECT 'policy', y.oid, 'pg_policy'::regclass
    FROM pg_policy y JOIN pg_class c ON c.oid = y.polrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = {schema}
    UNION ALL
    SELECT 'function', p.oid, 'pg_proc'::regclass
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = {schema}
    UNION ALL
    SELECT 'type ' || t.typtype::text, t.oid, 'pg_type'::regclass
    FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE n.nspname = {schema} AND t.typtype IN ('d', 'e')
) found WHERE NOT EXISTS (
    SELECT FROM pg_depend d WHERE d.classid = found.class AND d.objid = found.oid AND d.deptype = 'e')
GROUP BY sort ORDER BY sort
"""

# In the session that filled the schema: an error there takes the whole transaction back.
COMPARE = """
DECLARE wrong text;
BEGIN
    SELECT string_agg(format('%s has %s rows with checksum %s instead of %s with %s', name, found.rows,
                             found.checksum, wanted.rows, wanted.checksum), '; ')
    INTO wrong
    FROM ({found}) found FULL JOIN (VALUES {wanted}) wanted (name, rows, checksum) USING (name)
    WHERE found.rows IS DISTINCT FROM wanted.rows OR found.checksum IS DISTINCT FROM wanted.checksum;
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'What was imported does not equal the manifest: %', wrong;
    END IF;
END
"""
COMPARE_OBJECTS = """
DECLARE found jsonb;
BEGIN
    SELECT coalesce(jsonb_object_agg(sort, count), '{{}}') INTO found FROM ({objects}) counted;
    IF found <> {wanted}::jsonb THEN
        RAISE EXCEPTION 'What was imported has other objects than the manifest: % instead of %', found, {wanted};
    END IF;
END
"""


@dataclass(frozen=True)
class Content:
    """What one schema holds at one moment."""

    tables: dict[str, int] = field(default_factory=dict)
    checksums: dict[str, str] = field(default_factory=dict)
    objects: dict[str, int] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        return sum(self.tables.values())

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def tables(rows: Rows, schema: str) -> list[str]:
    """The tables that hold rows; those of extensions are not the tenant's."""
    return [name for (name,) in rows(TABLES, [schema])]


def read(rows: Rows, schema: str) -> Content:
    """Ask within the transaction of whoever asks; `rows` runs a query and returns what it finds."""
    rows(formats(schema))
    counted: dict[str, int] = {}
    checksums: dict[str, str] = {}
    for part in _batches(tables(rows, schema)):
        for name, count, checksum in rows(_counts(schema, part)):
            counted[name], checksums[name] = int(count), checksum
    return Content(counted, checksums, {sort: int(count) for sort, count in rows(_objects(schema))})


def formats(schema: str) -> Composable:
    """Until the transaction ends, values are written as text in one way."""
    sql = require.load("psycopg2.sql", "python3-psycopg2")
    settings = {**FORMATS, "search_path": f'pg_catalog, "{schema.replace(chr(34), chr(34) * 2)}"'}
    calls = [
        sql.SQL("set_config({}, {}, true)").format(sql.Literal(name), sql.Literal(value))
        for name, value in settings.items()
    ]
    found: Composable = sql.SQL("SELECT ") + sql.SQL(", ").join(calls)
    return found


def comparisons(schema: str, wanted: Content, connection: Any) -> Iterator[Composable]:
    """Statements that fail unless the schema holds what is wanted, for the transaction that filled it."""
    sql = require.load("psycopg2.sql", "python3-psycopg2")
    yield formats(schema)
    objects = sql.SQL(COMPARE_OBJECTS).format(
        objects=_objects(schema), wanted=sql.Literal(json.dumps(wanted.objects, sort_keys=True))
    )
    yield _do(sql, objects, connection)
    for part in _batches(sorted(wanted.tables)):
        values = [
            sql.SQL("({}, {}::bigint, {})").format(*map(sql.Literal, (name, wanted.tables[name], checksum)))
            for name, checksum in ((name, wanted.checksums[name]) for name in part)
        ]
        body = sql.SQL(COMPARE).format(found=_counts(schema, part), wanted=sql.SQL(", ").join(values))
        yield _do(sql, body, connection)


def _do(sql: Any, body: Any, connection: Any) -> Any:
    """As a literal: no name in it can end the body."""
    return sql.SQL("DO {}").format(sql.Literal(body.as_string(connection)))


def _counts(schema: str, names: Sequence[str]) -> Any:
    sql = require.load("psycopg2.sql", "python3-psycopg2")
    one = sql.SQL(TABLE)
    return sql.SQL(" UNION ALL ").join(
        one.format(name=sql.Literal(name), table=sql.Identifier(schema, name)) for name in names
    )


def _objects(schema: str) -> Any:
    sql = require.load("psycopg2.sql", "python3-psycopg2")
    return sql.SQL(OBJECTS).format(schema=sql.Literal(schema))


def _batches(names: Sequence[str]) -> list[Sequence[str]]:
    return [names[start : start + BATCH] for start in range(0, len(names), BATCH)]
