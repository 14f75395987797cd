# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# ruff: noqa: S608 - every name here is our own
"""What a stack's database looks like: text, numbers, UUIDs, pictures; one large table, many small ones; indexes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg2

MB = 1_000_000
SMALL_TABLES = 200

# Words of a language are far from evenly used, and that is what compressors live on.
WORDS = """
CREATE TEMPORARY TABLE word AS
SELECT i AS rank, substr(md5('word' || i), 1, 2 + (i % 8)) AS word FROM generate_series(1, 4000) i;
CREATE OR REPLACE FUNCTION pg_temp.prose(seed int, length int) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg((SELECT array_agg(word ORDER BY rank) FROM word)[1 + floor(4000 * random() ^ 4)::int], ' ')
  FROM generate_series(1, length) WHERE seed IS NOT NULL
$$;
CREATE TEMPORARY TABLE sentence AS
SELECT i AS id, pg_temp.prose(i, 6 + i % 12) AS text FROM generate_series(1, 500) i;
CREATE TEMPORARY TABLE phrase AS SELECT array_agg(text) AS texts FROM sentence;
"""
TABLES = """
CREATE TABLE events (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, uid uuid NOT NULL, account int NOT NULL,
  at timestamptz NOT NULL, kind text NOT NULL, payload jsonb NOT NULL, note text);
CREATE INDEX ON events (account, at);
CREATE UNIQUE INDEX ON events (uid);
CREATE TABLE lines (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, order_id bigint NOT NULL, product int NOT NULL,
  quantity int NOT NULL, price numeric(10,2) NOT NULL);
CREATE INDEX ON lines (order_id);
CREATE TABLE accounts (id int PRIMARY KEY, branch int NOT NULL, balance int NOT NULL, filler char(84) NOT NULL);
CREATE TABLE articles (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, title text NOT NULL, body text NOT NULL);
CREATE TABLE pictures (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, body bytea NOT NULL);
"""
# About ten megabytes with their indexes.
CHUNK = """
INSERT INTO events (uid, account, at, kind, payload, note)
SELECT gen_random_uuid(), (random() * 50000)::int, timestamptz '2026-01-01' + random() * interval '300 days',
  (ARRAY['view', 'add_to_cart', 'checkout', 'payment', 'refund'])[1 + floor(5 * random() ^ 2)::int],
  jsonb_build_object('session', md5(random()::text), 'amount', (random() * 10000)::int, 'agent',
    (ARRAY['Mozilla/5.0 (X11; Linux x86_64)', 'Mozilla/5.0 (iPhone; CPU iPhone OS 18_0)', 'curl/8.5'])
      [1 + floor(3 * random())::int], 'page', '/products/' || (random() * 2000)::int),
  texts[1 + floor(500 * random())::int]
FROM generate_series(1, 13000), phrase;
INSERT INTO lines (order_id, product, quantity, price)
SELECT (random() * 1e6)::bigint, (random() * 2000)::int, 1 + (random() * 5)::int, (random() * 500)::numeric(10,2)
FROM generate_series(1, 18000);
INSERT INTO accounts SELECT i + coalesce((SELECT max(id) FROM accounts), 0), i % 40, 0, ' '
FROM generate_series(1, 10000) i;
INSERT INTO articles (title, body)
SELECT texts[1 + floor(500 * random())::int],
  array_to_string(ARRAY(SELECT texts[1 + floor(500 * random())::int] FROM generate_series(1, 40) WHERE i > 0), '. ')
FROM generate_series(1, 300) i, phrase;
INSERT INTO pictures (body)
SELECT (SELECT string_agg(uuid_send(gen_random_uuid()), NULL) FROM generate_series(1, 1000) WHERE i > 0)
FROM generate_series(1, 45) i;
"""


@contextmanager
def session(place: Mapping[str, Any], database: str) -> Iterator[Any]:
    """A cursor in autocommit mode."""
    connection = psycopg2.connect(dbname=database, **place)
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            yield cursor
    finally:
        connection.close()


def fill(place: Mapping[str, Any], database: str, bytes_wanted: int) -> int:
    """Make it, at least as large as wanted; returns its size."""
    with session(place, "postgres") as cursor:
        cursor.execute(f"CREATE DATABASE {database}")
    with session(place, database) as cursor:
        cursor.execute(WORDS)
        cursor.execute(TABLES)
        for number in range(SMALL_TABLES):
            cursor.execute(f"CREATE TABLE settings_{number} (name text PRIMARY KEY, value text NOT NULL)")
            cursor.execute(
                f"INSERT INTO settings_{number} SELECT 'key ' || i, md5(i::text) FROM generate_series(1, 50) i"
            )
        cursor.execute("SELECT setseed(0.5)")
        while size(cursor) < bytes_wanted:
            cursor.execute(CHUNK)
        cursor.execute("VACUUM ANALYZE")
        cursor.execute("CHECKPOINT")
        return size(cursor)


def fill_schemas(place: Mapping[str, Any], database: str, schemas: int, tables: int) -> None:
    """A schema a tenant, each with the same tables, as the product makes them."""
    with session(place, "postgres") as cursor:
        cursor.execute(f"CREATE DATABASE {database}")
    with session(place, database) as cursor:
        for number in range(schemas):
            schema = f"tenant_{number:05d}"
            cursor.execute(
                f"CREATE SCHEMA {schema};"
                + "".join(
                    f"CREATE TABLE {schema}.t{table} (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "
                    f"parent int {f'REFERENCES {schema}.t{table - 1}' if table else ''}, data jsonb, at timestamptz);"
                    f"CREATE INDEX ON {schema}.t{table} (at);"
                    f"INSERT INTO {schema}.t{table} (at) VALUES (now());"
                    for table in range(tables)
                )
            )
        cursor.execute("VACUUM ANALYZE")
        cursor.execute("CHECKPOINT")


def size(cursor: Any) -> int:
    cursor.execute("SELECT pg_database_size(current_database())")
    row = cursor.fetchone()
    return int(row[0]) if row else 0
