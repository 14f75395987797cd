# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the database holds now, for all tenants at once: the number of queries does not grow with the tenants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from . import acl, store
from .session import Session


@dataclass(frozen=True, slots=True)
class Role:
    name: str
    login: bool
    superuser: bool
    powers: tuple[str, ...]
    connection_limit: int
    settings: dict[str, str]
    members: frozenset[str]
    other_databases: tuple[str, ...]
    verifier: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class ObjectGroup:
    """Objects of one kind in a schema that share an owner and an access list."""

    kind: str
    owner: str
    count: int
    grants: dict[str, frozenset[str]]


@dataclass(frozen=True, slots=True)
class Schema:
    name: str
    owner: str
    grants: dict[str, frozenset[str]]
    objects: tuple[ObjectGroup, ...] = ()


@dataclass(frozen=True, slots=True)
class Record:
    """A tenant's line in slipway.tenants."""

    slug: str
    registry_id: str | None
    schema: str
    role: str
    state: str
    revision: int


@dataclass(frozen=True)
class Server:
    """Facts about the server, the database and the role that is connected."""

    version: int
    user: str
    superuser: bool
    database: str
    store_version: int
    registry: bool
    plans: bool
    public_create: bool
    owns_public: bool
    reads_passwords: bool
    # those of the application's roles that exist
    application_roles: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Column:
    name: str
    type: str
    required: bool
    has_default: bool


@dataclass
class Catalog:
    server: Server
    columns: dict[str, Column] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)
    plans: list[dict[str, Any]] = field(default_factory=list)
    records: dict[str, Record] = field(default_factory=dict)
    ledger: dict[str, dict[str, str]] = field(default_factory=dict)
    roles: dict[str, Role] = field(default_factory=dict)
    schemas: dict[str, Schema] = field(default_factory=dict)
    # role -> how many sessions of this database are its own
    sessions: dict[str, int] = field(default_factory=dict)
    # schema -> its invalid indexes that nobody is working on
    invalid_indexes: dict[str, list[str]] = field(default_factory=dict)
    # (role, schema or "" for everywhere, kind) -> who gets which letters on new objects
    defaults: dict[tuple[str, str, str], dict[str, frozenset[str]]] = field(default_factory=dict)

    @cached_property
    def by_subdomain(self) -> dict[str, dict[str, Any]]:
        return {str(row["subdomain"]): row for row in self.rows}

    @cached_property
    def by_custom_domain(self) -> dict[str, dict[str, Any]]:
        return {str(row["custom_domain"]): row for row in self.rows if row.get("custom_domain")}

    @cached_property
    def by_id(self) -> dict[str, dict[str, Any]]:
        return {str(row["id"]): row for row in self.rows}

    @cached_property
    def by_registry_id(self) -> dict[str, Record]:
        return {record.registry_id: record for record in self.records.values() if record.registry_id}

    @cached_property
    def by_name(self) -> dict[tuple[str, str], Record]:
        """Who holds a schema's or a role's name."""
        schemas = {("schema", record.schema): record for record in self.records.values()}
        return {**schemas, **{("role", record.role): record for record in self.records.values()}}


@dataclass(frozen=True)
class Wanted:
    """The names to look for."""

    slugs: Sequence[str] = ()
    subdomains: Sequence[str] = ()
    custom_domains: Sequence[str] = ()
    schemas: Sequence[str] = ()
    roles: Sequence[str] = ()
    application_roles: Sequence[str] = ()
    indexes: bool = False


REGISTRY_COLUMNS = {"id", "subdomain", "custom_domain", "plan_id"}

SERVER = """
SELECT current_setting('server_version_num')::int, current_user::text,
       (SELECT rolsuper FROM pg_roles WHERE rolname = current_user), current_database()::text,
       (SELECT obj_description(oid, 'pg_namespace') FROM pg_namespace WHERE nspname = %s),
       to_regclass('public.tenants') IS NOT NULL, to_regclass('public.plans') IS NOT NULL,
       coalesce((SELECT bool_or(a.grantee = 0 AND a.privilege_type = 'CREATE')
                 FROM pg_namespace n, aclexplode(n.nspacl) a WHERE n.nspname = 'public'), false),
       coalesce((SELECT pg_has_role(nspowner, 'USAGE') FROM pg_namespace WHERE nspname = 'public'), false),
       has_table_privilege('pg_authid', 'SELECT'),
       ARRAY(SELECT rolname::text FROM pg_roles WHERE rolname = ANY(%s))
"""

COLUMNS = """
SELECT a.attname::text, format_type(a.atttypid, NULL), a.attnotnull,
       a.atthasdef OR a.attidentity <> '' OR a.attgenerated <> ''
FROM pg_attribute a WHERE a.attrelid = 'public.tenants'::regclass AND a.attnum > 0 AND NOT a.attisdropped
"""

ROWS = """
SELECT to_jsonb(t) FROM public.tenants t
WHERE t.subdomain::text IN (SELECT unnest(%s::text[])) OR t.custom_domain::text IN (SELECT unnest(%s::text[]))
   OR t.id::text IN (SELECT unnest(%s::text[]))
"""

RECORDS = """
SELECT slug, registry_id, schema_name, role_name, state, revision FROM slipway.tenants
WHERE slug = ANY(%s) OR schema_name = ANY(%s) OR role_name = ANY(%s)
"""

# Rows found by name may turn out to be another tenant's.
OWNERS = """
SELECT slug, registry_id, schema_name, role_name, state, revision FROM slipway.tenants WHERE registry_id = ANY(%s)
"""

LEDGER = """
SELECT slug, array_agg(template), array_agg(checksum) FROM slipway.tenant_migrations WHERE slug = ANY(%s) GROUP BY slug
"""

ROLES = """
SELECT r.rolname::text, r.rolcanlogin, r.rolsuper,
       array_remove(ARRAY[CASE WHEN r.rolsuper THEN 'SUPERUSER' END, CASE WHEN r.rolcreatedb THEN 'CREATEDB' END,
                          CASE WHEN r.rolcreaterole THEN 'CREATEROLE' END,
                          CASE WHEN r.rolreplication THEN 'REPLICATION' END,
                          CASE WHEN r.rolbypassrls THEN 'BYPASSRLS' END], NULL),
       r.rolconnlimit,
       (SELECT setconfig FROM pg_db_role_setting s WHERE s.setrole = r.oid
          AND s.setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())),
       ARRAY(SELECT m.rolname::text FROM pg_auth_members am JOIN pg_roles m ON m.oid = am.member WHERE am.roleid = r.oid
               AND coalesce((to_jsonb(am) ->> 'set_option')::bool, true)
               AND coalesce((to_jsonb(am) ->> 'inherit_option')::bool, true)),
       ARRAY(SELECT DISTINCT d.datname::text FROM pg_shdepend s JOIN pg_database d ON d.oid = s.dbid
             WHERE s.refclassid = 'pg_authid'::regclass AND s.refobjid = r.oid AND d.datname <> current_database())
FROM pg_roles r WHERE r.rolname = ANY(%s)
"""

SESSIONS = """
SELECT usename::text, count(*) FROM pg_stat_activity
WHERE datname = current_database() AND usename = ANY(%s) AND pid <> pg_backend_pid() GROUP BY usename
"""

VERIFIERS = "SELECT rolname::text, rolpassword FROM pg_authid WHERE rolname = ANY(%s) AND rolpassword IS NOT NULL"

SCHEMAS = """
SELECT n.nspname::text, pg_get_userbyid(n.nspowner)::text, coalesce(n.nspacl, '{}')::text[]
FROM pg_namespace n WHERE n.nspname = ANY(%s)
"""

# Grouped by owner and access list: a tenant with hundreds of tables is usually one line per kind. One pass over each
# catalog, because none has an index that starts with the schema. Columns have an access list only if somebody was
# granted one of them alone.
OBJECTS = """
SELECT n.nspname::text, g.kind, pg_get_userbyid(g.owner)::text,
       coalesce(g.acl, acldefault(g.code, g.owner))::text[], g.count
FROM (
    SELECT c.relnamespace AS namespace, CASE WHEN c.relkind = 'S' THEN 'SEQUENCES' ELSE 'TABLES' END AS kind,
           (CASE WHEN c.relkind = 'S' THEN 's' ELSE 'r' END)::"char" AS code,
           c.relowner AS owner, c.relacl AS acl, count(*) AS count
    FROM pg_class c WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
      AND c.relnamespace IN (SELECT oid FROM pg_namespace WHERE nspname = ANY(%s))
    GROUP BY 1, 2, 3, 4, 5
    UNION ALL
    SELECT p.pronamespace, 'FUNCTIONS', 'f'::"char", p.proowner, p.proacl, count(*)
    FROM pg_proc p WHERE p.pronamespace IN (SELECT oid FROM pg_namespace WHERE nspname = ANY(%s))
    GROUP BY p.pronamespace, p.proowner, p.proacl
    UNION ALL
    SELECT c.relnamespace, 'COLUMNS', 'c'::"char", c.relowner, a.attacl, count(*)
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
    WHERE a.attacl IS NOT NULL AND c.relnamespace IN (SELECT oid FROM pg_namespace WHERE nspname = ANY(%s))
    GROUP BY c.relnamespace, c.relowner, a.attacl
) g JOIN pg_namespace n ON n.oid = g.namespace
"""

DEFAULTS = """
SELECT pg_get_userbyid(d.defaclrole)::text, coalesce(n.nspname::text, ''), d.defaclobjtype::text, d.defaclacl::text[]
FROM pg_default_acl d LEFT JOIN pg_namespace n ON n.oid = d.defaclnamespace
WHERE d.defaclrole IN (SELECT oid FROM pg_roles WHERE rolname = ANY(%s))
"""

# A failed CREATE or REINDEX INDEX CONCURRENTLY leaves one behind. While another session holds the table for such work,
# its index is invalid because it is not ready yet.
INVALID_INDEXES = """
SELECT n.nspname::text, c.relname::text
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE NOT i.indisvalid AND c.relkind = 'i' AND n.nspname = ANY(%s) AND NOT EXISTS (
    SELECT 1 FROM pg_locks l WHERE l.locktype = 'relation' AND l.relation = i.indrelid AND l.granted
      AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND l.mode = 'ShareUpdateExclusiveLock')
ORDER BY 1, 2
"""


def server(session: Session, application_roles: Sequence[str]) -> Server:
    """The first question: what is there to look into at all?"""
    (row,) = session.rows(SERVER, (store.SCHEMA, list(application_roles)))
    version, user, superuser, database, comment, registry, plans, public_create, owns_public, reads, roles = row
    return Server(
        version=version,
        user=user,
        superuser=bool(superuser),
        database=database,
        store_version=store.version_of(comment),
        registry=registry,
        plans=plans,
        public_create=public_create,
        owns_public=owns_public,
        reads_passwords=reads,
        application_roles=frozenset(roles),
    )


def read(session: Session, wanted: Wanted) -> Catalog:
    """Everything about the wanted tenants."""
    found = Catalog(server(session, wanted.application_roles))
    if found.server.store_version:
        _read_store(session, wanted, found)
    if found.server.registry:
        _read_registry(session, wanted, found)
    records = [found.records[slug] for slug in wanted.slugs if slug in found.records]
    _read_roles(session, list({*wanted.roles, *(record.role for record in records)}), found)
    _read_schemas(session, list({*wanted.schemas, *(record.schema for record in records)}), found)
    if wanted.indexes:
        for schema, index in session.rows(INVALID_INDEXES, (list(found.schemas),)):
            found.invalid_indexes.setdefault(schema, []).append(index)
    return found


def _read_store(session: Session, wanted: Wanted, found: Catalog) -> None:
    names = (list(wanted.slugs), list(wanted.schemas), list(wanted.roles))
    for row in session.rows(RECORDS, names):
        found.records[row[0]] = Record(*row)
    for slug, templates, checksums in session.rows(LEDGER, (list(wanted.slugs),)):
        found.ledger[slug] = dict(zip(templates, checksums, strict=True))


def _read_registry(session: Session, wanted: Wanted, found: Catalog) -> None:
    found.columns = {row[0]: Column(*row) for row in session.rows(COLUMNS)}
    if REGISTRY_COLUMNS - set(found.columns):
        return  # it cannot be used; whoever called says so
    ids = [record.registry_id for record in found.records.values() if record.registry_id]
    names = (list(wanted.subdomains), list(wanted.custom_domains), ids)
    found.rows = [row[0] for row in session.rows(ROWS, names)]
    if found.server.store_version:
        for row in session.rows(OWNERS, ([str(line["id"]) for line in found.rows],)):
            found.records[row[0]] = Record(*row)
    if found.server.plans:
        found.plans = [row[0] for row in session.rows("SELECT to_jsonb(p) FROM public.plans p")]


def _read_roles(session: Session, roles: list[str], found: Catalog) -> None:
    names = (roles,)
    verifiers: dict[str, str] = {}
    if found.server.reads_passwords:
        verifiers = {row[0]: row[1] for row in session.rows(VERIFIERS, names)}
    found.sessions = {name: int(count) for name, count in session.rows(SESSIONS, names)}
    for name, login, superuser, powers, limit, settings, members, databases in session.rows(ROLES, names):
        found.roles[name] = Role(
            name=name,
            login=login,
            superuser=superuser,
            powers=tuple(powers),
            connection_limit=limit,
            settings=dict(setting.split("=", 1) for setting in settings or ()),
            members=frozenset(members),
            other_databases=tuple(databases),
            verifier=verifiers.get(name),
        )
    for role, schema, code, items in session.rows(DEFAULTS, names):
        kind = acl.OBJECT_TYPES.get(code)
        if kind:
            found.defaults[role, schema, kind] = acl.grants(items)


def _read_schemas(session: Session, schemas: list[str], found: Catalog) -> None:
    names = (schemas,)
    groups: dict[str, list[ObjectGroup]] = {}
    for schema, kind, owner, items, count in session.rows(OBJECTS, names * 3):
        groups.setdefault(schema, []).append(ObjectGroup(kind, owner, count, acl.grants(items)))
    for name, owner, items in session.rows(SCHEMAS, names):
        found.schemas[name] = Schema(name, owner, acl.grants(items), tuple(groups.get(name, ())))
