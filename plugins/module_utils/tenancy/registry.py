# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The team's own tables public.tenants and public.plans: adopted as they are, created only when asked."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..common.errors import SlipwayError
from .catalog import REGISTRY_COLUMNS, Catalog, Column
from .session import Session
from .spec import Request, Tenant
from .spec import tenant as checked

# By which of its columns people name a plan.
PLAN_NAMES = ("slug", "code", "name", "key", "id")

DDL = """
CREATE TABLE IF NOT EXISTS public.plans (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name text NOT NULL UNIQUE,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE IF NOT EXISTS public.tenants (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    subdomain text NOT NULL UNIQUE,
    custom_domain text UNIQUE,
    plan_id uuid REFERENCES public.plans,
    created_at timestamptz NOT NULL DEFAULT now()
);
"""

RIGHTS = """
GRANT SELECT, INSERT, UPDATE, DELETE ON public.tenants TO {role};
GRANT SELECT ON public.plans TO {role}
"""


@dataclass(frozen=True)
class SignUp:
    """A row of the registry as a wish: a tenant, or why it cannot be one."""

    name: str
    tenant: Tenant | None
    error: str = ""
    registry_id: str = ""


def require_table(found: Catalog, request: Request) -> None:
    """Without the registry there is nothing to write the tenants into."""
    if found.server.registry:
        missing = sorted(REGISTRY_COLUMNS - set(found.columns))
        if missing:
            raise SlipwayError(
                f"The table public.tenants has no column {', '.join(missing)}.",
                hint="It needs id, subdomain, custom_domain and plan_id; add what is missing in the team's migrations.",
            )
    elif not request.registry_create:
        raise SlipwayError(
            f"The database {found.server.database} has no table public.tenants.",
            hint="Run the application's migrations first, or let Slipway create it with registry_create: true.",
        )


def plan_id(plan: str, plans: Sequence[Mapping[str, Any]]) -> Any:
    """The id of a plan named by its slug, code, name, key or id; None if there is no such plan."""
    for column in PLAN_NAMES:
        for row in plans:
            if column in row and str(row[column]) == plan:
                return row["id"]
    return None


def plan_name(wanted: Any, plans: Sequence[Mapping[str, Any]]) -> str | None:
    """What people call the plan with this id."""
    for row in plans:
        if wanted is not None and str(row["id"]) == str(wanted):
            return next((str(row[column]) for column in PLAN_NAMES if row.get(column) is not None), None)
    return None


def find_row(tenant: Tenant, found: Catalog) -> dict[str, Any] | None:
    """The tenant's row: the one that it is known to own, else the one with its subdomain."""
    record = found.records.get(tenant.slug)
    if record and record.registry_id:
        mine = found.by_id.get(record.registry_id)
        if mine is not None:
            return mine
    row = found.by_subdomain.get(tenant.subdomain)
    if row is not None:
        owner = found.by_registry_id.get(str(row["id"]))
        if owner and owner.slug != tenant.slug:
            raise SlipwayError(
                f"The subdomain {tenant.subdomain} belongs to tenant {owner.slug}.",
                hint="Give each tenant its own subdomain.",
            )
    return row


def wanted_row(tenant: Tenant, found: Catalog) -> dict[str, Any]:
    """The columns that Slipway sets."""
    wanted: dict[str, Any] = {"subdomain": tenant.subdomain}
    if tenant.custom_domain is not None:
        wanted["custom_domain"] = tenant.custom_domain or None
        _refuse_taken(tenant, found)
    if tenant.plan:
        wanted["plan_id"] = plan_id(tenant.plan, found.plans)
        if wanted["plan_id"] is None:
            raise SlipwayError(
                f"The plan {tenant.plan!r} of tenant {tenant.slug} is not in public.plans.",
                hint=f"It has: {_plan_names(found.plans)}. Add the plan in the team's migrations, or correct the name.",
            )
    for column, value in tenant.columns.items():
        if found.columns and column not in found.columns:
            raise SlipwayError(
                f"The table public.tenants has no column {column}, which tenant {tenant.slug} sets.",
                hint="Correct `columns`, or add the column in the team's migrations.",
            )
        wanted[column] = value
    return wanted


def new_row(wanted: Mapping[str, Any], columns: Mapping[str, Column], tenant: Tenant) -> dict[str, Any]:
    """A complete row: what a column demands and has no default for is filled in, or asked for."""
    row = dict(wanted)
    for column in columns.values():
        if column.name in row or column.has_default or not column.required:
            continue
        if column.name == "id" and column.type == "uuid":
            row["id"] = str(uuid.uuid4())
        elif column.name == "plan_id":
            raise SlipwayError(
                f"Every row of public.tenants needs a plan, and tenant {tenant.slug} has none.",
                hint="Give it one with `plan`.",
            )
        elif column.name != "created_at":
            raise SlipwayError(
                f"Every row of public.tenants needs a value for {column.name}, and tenant {tenant.slug} gives none.",
                hint=f"Write it like: columns: {{{column.name}: ...}}",
            )
    return row


def needs_time(columns: Mapping[str, Column], row: Mapping[str, Any]) -> bool:
    """Whether created_at has to be filled in because the team's table gives it no default."""
    created = columns.get("created_at")
    return created is not None and created.required and not created.has_default and "created_at" not in row


def difference(row: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """The columns whose values differ. Compared as texts: JSON and YAML spell some types differently."""
    return {column: value for column, value in wanted.items() if _text(row.get(column)) != _text(value)}


def missing_plans(request: Request, found: Catalog) -> list[str]:
    """The plans that tenants name and public.plans lacks."""
    named = {tenant.plan for tenant in request.tenants if tenant.plan and tenant.state != "absent"}
    return sorted(plan for plan in named if plan_id(plan, found.plans) is None)


def create(session: Session, found: Catalog) -> None:
    """Create the registry's tables and open them to the application. The caller commits."""
    from psycopg2 import sql

    session.run(DDL)
    for role in sorted(found.server.application_roles):
        session.run(sql.SQL(RIGHTS).format(role=sql.Identifier(role)))


def sign_ups(session: Session, request: Request, recorded: bool, only: Sequence[str] | None = None) -> list[SignUp]:
    """Every row of the registry (or those with these ids) as a tenant, with what the list says about it on top."""
    known = {str(row[0]): (row[1], row[2]) for row in session.rows(KNOWN)} if recorded else {}
    given = {tenant.slug: tenant for tenant in request.tenants}
    rows = session.rows(ROWS) if only is None else session.rows(SOME_ROWS, (list(only),))
    wishes: list[SignUp] = []
    for identity, subdomain in rows:
        slug, state = known.get(identity) or (slug_of(subdomain), "present")
        if slug in given:
            wishes.append(SignUp(slug, given.pop(slug), registry_id=identity))
            continue
        try:
            entry = {"slug": slug, "subdomain": subdomain, "state": state}
            wishes.append(SignUp(slug, checked(entry, request), registry_id=identity))
        except SlipwayError as error:
            wishes.append(SignUp(subdomain, None, str(error), identity))
    return wishes + [SignUp(slug, tenant) for slug, tenant in given.items() if only is None]


def slug_of(subdomain: str) -> str:
    """What a tenant that signed up is called here."""
    return subdomain.replace("-", "_")


KNOWN = "SELECT registry_id, slug, state FROM slipway.tenants WHERE registry_id IS NOT NULL"
ROWS = "SELECT t.id::text, coalesce(t.subdomain::text, '') FROM public.tenants t ORDER BY 2"
SOME_ROWS = """
SELECT t.id::text, coalesce(t.subdomain::text, '') FROM public.tenants t WHERE t.id::text = ANY(%s) ORDER BY 2
"""


def _refuse_taken(tenant: Tenant, found: Catalog) -> None:
    row = found.by_custom_domain.get(tenant.custom_domain or "")
    if row is None:
        return
    owner = found.by_registry_id.get(str(row["id"]))
    mine = owner.slug == tenant.slug if owner else row["subdomain"] == tenant.subdomain
    if not mine:
        raise SlipwayError(
            f"The domain {tenant.custom_domain} of tenant {tenant.slug} belongs to tenant {row['subdomain']}.",
            hint="Take it away there first.",
        )


def _plan_names(plans: Sequence[Mapping[str, Any]]) -> str:
    for column in PLAN_NAMES:
        names = [str(row[column]) for row in plans if row.get(column) is not None]
        if names:
            return ", ".join(sorted(names))
    return "no plan at all"


def _text(value: Any) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    return None if value is None else str(value)
