# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Slipway's own schema: the state of every tenant, the ledger of templates, and the events that nobody may change."""

from __future__ import annotations

from .session import Session

SCHEMA = "slipway"
VERSION = 2
LOCK = 7_226_171_000  # advisory lock key of the schema itself; tenants' keys are hashes of their slugs

DDL = """
CREATE SCHEMA IF NOT EXISTS slipway;
REVOKE ALL ON SCHEMA slipway FROM PUBLIC;

CREATE TABLE IF NOT EXISTS slipway.tenants (
    slug text PRIMARY KEY,
    registry_id text UNIQUE,
    schema_name text NOT NULL UNIQUE,
    role_name text NOT NULL UNIQUE,
    state text NOT NULL CHECK (state IN ('present', 'suspended')),
    revision bigint NOT NULL DEFAULT txid_current(),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON COLUMN slipway.tenants.revision IS 'the transaction of the last change: an older plan is made anew';

CREATE TABLE IF NOT EXISTS slipway.tenant_migrations (
    slug text NOT NULL REFERENCES slipway.tenants ON UPDATE CASCADE ON DELETE CASCADE,
    template text NOT NULL,
    checksum text NOT NULL,
    milliseconds integer NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (slug, template)
);

CREATE TABLE IF NOT EXISTS slipway.tenant_events (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    slug text NOT NULL,
    actor text NOT NULL DEFAULT session_user,
    actions jsonb NOT NULL
);
CREATE INDEX IF NOT EXISTS tenant_events_slug ON slipway.tenant_events (slug, at);

CREATE OR REPLACE FUNCTION slipway.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    RAISE EXCEPTION 'slipway.tenant_events is append-only' USING ERRCODE = 'insufficient_privilege';
END
$body$;
DROP TRIGGER IF EXISTS append_only ON slipway.tenant_events;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON slipway.tenant_events
    FOR EACH STATEMENT EXECUTE FUNCTION slipway.refuse_change();
-- Also where triggers are switched off for a session, and for the table's own owner.
ALTER TABLE slipway.tenant_events ENABLE ALWAYS TRIGGER append_only;
REVOKE UPDATE, DELETE, TRUNCATE ON slipway.tenant_events FROM CURRENT_USER;

CREATE TABLE IF NOT EXISTS slipway.tenant_problems (
    registry_id text PRIMARY KEY,
    name text NOT NULL,
    digest text NOT NULL,
    reason text NOT NULL,
    tries integer NOT NULL DEFAULT 1,
    since timestamptz NOT NULL DEFAULT clock_timestamp(),
    next_at timestamptz NOT NULL
);
COMMENT ON TABLE slipway.tenant_problems IS 'rows of public.tenants that cannot be served, and why';

COMMENT ON SCHEMA slipway IS 'slipway tenancy 2';
"""


def version_of(comment: str | None) -> int:
    """Which version of the schema a database has, from the schema's comment; 0 is none."""
    word = (comment or "").removeprefix("slipway tenancy ")
    return int(word) if word.isdigit() else 0


def lock(session: Session) -> None:
    """Until the end of the transaction, no other run changes the database as a whole."""
    session.run("SELECT pg_advisory_xact_lock(%s)", (LOCK,))


def create(session: Session) -> None:
    """Create the schema, under the lock. The caller commits."""
    session.run(DDL)
