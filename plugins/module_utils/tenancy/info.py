# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is known about tenants, for people and for playbooks. Reads only, in a constant number of queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..common import require
from ..postgres import failure
from ..postgres.options import PostgresOptions
from . import catalog
from .catalog import Catalog, Record, Wanted
from .registry import plan_name
from .session import Session


def gather(params: Mapping[str, Any]) -> list[dict[str, Any]]:
    """All tenants on record, or those of `slugs`, in the order of their slugs."""
    psycopg2 = require.load("psycopg2", "python3-psycopg2")
    with Session.open(PostgresOptions.from_params(params)) as session:
        try:
            return _tenants(session, params.get("slugs"))
        except psycopg2.Error as error:
            raise failure.sentence(error) from error


def _tenants(session: Session, slugs: Sequence[str] | None) -> list[dict[str, Any]]:
    if not catalog.server(session, ()).store_version:
        return []
    asked = None if slugs is None else set(slugs)
    known = [row[0] for row in session.rows("SELECT slug FROM slipway.tenants ORDER BY slug")]
    wanted = [slug for slug in known if asked is None or slug in asked]
    found = catalog.read(session, Wanted(slugs=wanted))
    return [_facts(found.records[slug], found) for slug in wanted]


def _facts(record: Record, found: Catalog) -> dict[str, Any]:
    row = found.by_id.get(record.registry_id or "", {})
    role = found.roles.get(record.role)
    schema = found.schemas.get(record.schema)
    return {
        "slug": record.slug,
        "state": record.state,
        "subdomain": row.get("subdomain"),
        "custom_domain": row.get("custom_domain"),
        "plan": plan_name(row.get("plan_id"), found.plans),
        "registry_id": record.registry_id,
        "schema": record.schema if schema else None,
        "role": record.role if role else None,
        "login": bool(role and role.login),
        "connection_limit": role.connection_limit if role else None,
        "tables": sum(group.count for group in schema.objects if group.kind == "TABLES") if schema else 0,
        "templates": sorted(found.ledger.get(record.slug, {})),
    }
