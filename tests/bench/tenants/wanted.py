# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What every way has to make: the team's own tables, and a tenant in SQL as a careful person would write it."""

from __future__ import annotations

from dataclasses import dataclass

APPLICATION = "shop"

# What the team's own migrations make.
REGISTRY = """
CREATE TABLE public.plans (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), name text NOT NULL UNIQUE);
CREATE TABLE public.tenants (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(), subdomain text NOT NULL UNIQUE, custom_domain text UNIQUE,
    plan_id uuid REFERENCES public.plans (id), created_at timestamptz NOT NULL DEFAULT now())
"""

TABLE = """
CREATE TABLE t{number} (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, {parent}name text NOT NULL, data jsonb NOT NULL DEFAULT '{{}}',
    at timestamptz NOT NULL DEFAULT now());
CREATE INDEX t{number}_at ON t{number} (at);
"""
PARENT = "parent bigint REFERENCES t{number} (id), "

TENANT = """
INSERT INTO public.tenants (subdomain) VALUES ('{slug}');
CREATE ROLE {role} NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION;
CREATE SCHEMA {schema} AUTHORIZATION {role};
GRANT USAGE ON SCHEMA {schema} TO {application};
ALTER ROLE {role} IN DATABASE {database} SET search_path = {schema}, public;
ALTER DEFAULT PRIVILEGES FOR ROLE {role} REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE {role} IN SCHEMA {schema}
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {application};
ALTER DEFAULT PRIVILEGES FOR ROLE {role} IN SCHEMA {schema} GRANT USAGE, SELECT ON SEQUENCES TO {application};
ALTER DEFAULT PRIVILEGES FOR ROLE {role} IN SCHEMA {schema} GRANT EXECUTE ON FUNCTIONS TO {application};
SET LOCAL ROLE {role};
SET LOCAL search_path = {schema}, public;
{tables}
SET LOCAL ROLE NONE;
SET LOCAL search_path = public
"""

# Tenants with a row, a role and a schema of that role's, and their tables that the application may use.
MADE = """
SELECT count(DISTINCT n.oid), count(c.oid)
FROM public.tenants t JOIN pg_namespace n ON n.nspname = 'tenant_' || t.subdomain
JOIN pg_roles r ON r.oid = n.nspowner AND r.rolname = %s || t.subdomain
LEFT JOIN pg_class c ON c.relnamespace = n.oid AND c.relkind = 'r' AND c.relowner = r.oid
  AND has_table_privilege(%s, c.oid, 'SELECT') AND has_table_privilege(%s, c.oid, 'INSERT')
"""


def tables(count: int) -> str:
    """The text of the template: tables that refer to one another, each with six relations."""
    return "".join(
        TABLE.format(number=number, parent=PARENT.format(number=number - 1) if number else "")
        for number in range(count)
    )


@dataclass(frozen=True)
class Job:
    """So many tenants in one database. Roles belong to the whole server, so each job has names of its own."""

    database: str
    tenants: int
    tables: int

    @property
    def prefix(self) -> str:
        return f"{self.database}_"

    @property
    def slugs(self) -> list[str]:
        return [f"t{number:05}" for number in range(self.tenants)]

    def statements(self, slug: str) -> str:
        return TENANT.format(
            slug=slug,
            role=f"{self.prefix}{slug}",
            schema=f"tenant_{slug}",
            database=self.database,
            application=APPLICATION,
            tables=tables(self.tables),
        )
