# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is on record about one tenant: for its export, and for the certificate of its erasure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..common.errors import SlipwayError
from . import store
from .content import Rows
from .registry import plan_name

SERVER = """
SELECT obj_description(to_regnamespace('slipway')::oid, 'pg_namespace'), to_regclass('public.tenants') IS NOT NULL,
       to_regclass('public.plans') IS NOT NULL
"""
RECORD = """
SELECT registry_id, schema_name, role_name, state,
       to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
FROM slipway.tenants WHERE slug = %s
"""
LEDGER = "SELECT template, checksum FROM slipway.tenant_migrations WHERE slug = %s ORDER BY template"
ROW = "SELECT to_jsonb(t) FROM public.tenants t WHERE t.id::text = %s"


@dataclass(frozen=True)
class Facts:
    """One tenant as the database knows it."""

    slug: str
    registry_id: str | None
    schema: str
    role: str
    state: str
    created: str
    plan: str | None = None
    row: dict[str, Any] = field(default_factory=dict)
    templates: dict[str, str] = field(default_factory=dict)


def find(rows: Rows, slug: str) -> Facts | None:
    """The tenant, or None; `rows` runs a query and returns what it finds."""
    comment, registry, plans = rows(SERVER)[0]
    known = rows(RECORD, [slug]) if store.version_of(comment) else []
    if not known:
        return None
    registry_id, schema, role, state, created = known[0]
    lines = rows(ROW, [registry_id]) if registry and registry_id else []
    row = dict(lines[0][0]) if lines else {}
    offered = [line for (line,) in rows("SELECT to_jsonb(p) FROM public.plans p")] if plans else []
    return Facts(
        slug=slug,
        registry_id=registry_id,
        schema=schema,
        role=role,
        state=state,
        created=created,
        plan=plan_name(row.get("plan_id"), offered),
        row=row,
        templates=dict(rows(LEDGER, [slug])),
    )


def require(rows: Rows, slug: str) -> Facts:
    """The tenant, or a sentence that there is none."""
    found = find(rows, slug)
    if found is None:
        raise SlipwayError(
            f"There is no tenant {slug} in this database.", hint="Those that there are: slipway tenants list"
        )
    return found
