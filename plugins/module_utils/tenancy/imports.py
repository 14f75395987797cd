# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A tenant made of an export, in one transaction that ends only if it equals the manifest.

pg_restore renames nothing: an archive's tables go into the schema that they came from. So the new tenant's schema bears
that name while it is filled, and whoever has the name already lends it. A rename is one row of the catalogue, and until
COMMIT nobody else sees any of it. A scratch database would cost the room and the time of a second copy, and would lack
what the tenant refers to: extensions, shared tables and functions.

The tenant's own role runs the archive's SQL, so that it owns what is made. That is no fence against a forged archive.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..backup import catalog as exports
from ..backup import database, reader, restore
from ..backup import spec as backup_spec
from ..backup import store as backup_store
from ..backup.manifest import Manifest
from ..backup.pipeline import Consumer, Pipeline
from ..backup.progress import Progress
from ..backup.source import Client, client_for
from ..backup.spec import Spec
from ..backup.store import Store
from ..common import validate
from ..common.errors import SlipwayError
from ..common.events import Emitter
from ..common.lock import FileLock
from . import catalog, content, engine, events, rename, spec, target
from . import plan as planning
from .apply import KEY
from .catalog import Wanted
from .content import Content
from .plan import Action, Plan
from .session import Session
from .spec import Tenant
from .statements import Composer

LENT = "slipway_lent"
TRANSACTION_TIMEOUT = b"\nSET transaction_timeout = 0;\n"
FIRST_TRANSACTION_TIMEOUT = 170000
PREAMBLE_END = b"\nSET client_encoding"
PREAMBLE_BYTES = 65536
FENCE = """
BEGIN
    IF NOT pg_try_advisory_xact_lock({key}) THEN
        RAISE EXCEPTION 'Another run works on tenant %', {slug};
    END IF;
    IF (SELECT revision FROM slipway.tenants WHERE slug = {slug}) IS DISTINCT FROM {revision}::bigint THEN
        RAISE EXCEPTION 'Another run has changed tenant % meanwhile', {slug};
    END IF;
END
"""
LEDGER = "INSERT INTO slipway.tenant_migrations (slug, template, checksum, milliseconds) VALUES ({}, {}, {}, 0)"
# What the row of the tenant says about itself is not taken over from another row.
OWN_COLUMNS = ("id", "subdomain", "custom_domain", "plan_id", "created_at")
GIVEN = ("subdomain", "custom_domain", "plan", "state", "login", "password", "columns", "connection_limit")


@dataclass(frozen=True)
class Todo:
    """What an import would do; found out before anything is touched."""

    export: exports.Backup
    store: Store
    source: Spec
    tenant: Tenant
    plan: Plan
    before: str
    lender: bool

    @property
    def known(self) -> Manifest:
        return self.export.manifest

    @property
    def origin(self) -> str:
        """The schema that the export was made of."""
        return str(self.known.details["tenant"]["schema"])

    @property
    def wanted(self) -> Content:
        return Content(**self.known.details["content"])

    def as_dict(self) -> dict[str, Any]:
        return {
            "id": self.export.id,
            "created": self.known.snapshot_time,
            "store": self.store.name,
            "slug": self.tenant.slug,
            "schema": self.plan.schema,
            "role": self.plan.role,
            "from": {"stack": self.known.stack, "slug": self.known.details["tenant"]["slug"], "schema": self.origin},
            "tables": len(self.wanted.tables),
            "rows": self.wanted.rows,
            "before": self.before or None,
            "actions": [action.text for action in self.plan.actions],
        }


def run(request: Mapping[str, Any], emitter: Emitter) -> dict[str, Any]:
    """Import; the tenant is there in full when this returns, or as it was before."""
    started = time.monotonic()
    source = _source(request)
    lock = FileLock(backup_spec.STATE_DIRECTORY / "lock", wait=source.lock_wait, what=f"import {request['name']}")
    with lock, Session.open(source.postgres) as session:
        with emitter.phase("preflight"):
            engine.converge({**target.settings(request), "tenants": [], "templates": []}, emitter)
            todo = _plan(request, source, session)
            client = client_for(
                source.postgres,
                session.connection.server_version,
                source.client_directory,
                f"slipway import {todo.tenant.slug}",
            )
        with emitter.phase("import"):
            _fill(todo, session, client, emitter)
        warnings = _warnings(todo, session)
    seconds = round(time.monotonic() - started, 2)
    return {"changed": True, "import": {**todo.as_dict(), "seconds": seconds}, "warnings": warnings}


def plan(request: Mapping[str, Any]) -> dict[str, Any]:
    """For check mode; reads only."""
    source = _source(request)
    with Session.open(source.postgres) as session:
        return {"changed": True, "import": _plan(request, source, session).as_dict()}


def _source(request: Mapping[str, Any]) -> Spec:
    """The exports to choose from: those of this stack's tenant of the same slug, unless told otherwise."""
    slug = validate.slug(str(request.get("name") or ""))
    found = target.specification(request, str(request.get("from_name") or slug))
    stack = validate.stack_name(str(request.get("from_stack") or found.stack))
    return replace(found, stack=stack, identity_file=str(request.get("identity_file") or found.identity_file))


def _plan(request: Mapping[str, Any], source: Spec, session: Session) -> Todo:
    places = backup_store.stores(source)
    wanted = str(request.get("id") or exports.LATEST)
    backups = exports.entries(places)
    if not backups:
        raise SlipwayError(
            f"There is no export of a tenant {source.of} of stack {source.stack} in "
            f"{' or '.join(source.destinations())}.",
            hint=f"Make one where the tenant is: slipway tenants export {source.stack} {source.of}",
        )
    export = exports.pick(backups, wanted, source)
    store = exports.best_copy(export, places)
    known = export.manifest
    if known.encryption != reader.PLAIN:
        reader.try_key(source, store, known, "database")
    with database.session(source.postgres, source.postgres.database) as cursor:
        restore.refuse_older_server(cursor, known)
    rules = spec.parse({**target.settings(request), "tenants": [_entry(request, known, session)], "templates": []})
    tenant = rules.tenants[0]
    found = catalog.read(
        session,
        Wanted(
            slugs=[tenant.slug],
            subdomains=[tenant.subdomain],
            custom_domains=[tenant.custom_domain] if tenant.custom_domain else [],
            schemas=[tenant.schema],
            roles=[tenant.role],
            application_roles=rules.application_roles,
        ),
    )
    record = found.records.get(tenant.slug)
    schema = record.schema if record else tenant.schema
    living = schema in found.schemas
    if (record or living) and not request.get("replace"):
        raise SlipwayError(
            f"The tenant {tenant.slug} is there already (schema {schema}); an import does not overwrite it unasked.",
            hint="Import under another name, or say replace: true; what is there is then kept beside.",
        )
    # Planned as if there were nothing: what is there is set aside first.
    found.schemas.pop(schema, None)
    found.defaults = {key: value for key, value in found.defaults.items() if key[1] != schema}
    made = _with_id(planning.make(tenant, rules, found), known, session)
    origin = str(known.details["tenant"]["schema"])
    lender = origin != schema and bool(session.rows("SELECT 1 FROM pg_namespace WHERE nspname = %s", [origin]))
    session.rollback()
    before = database.name_beside(schema, "before", export.id) if living else ""
    return Todo(export, store, source, tenant, made, before, lender)


def _entry(request: Mapping[str, Any], known: Manifest, session: Session) -> dict[str, Any]:
    """The tenant as it was exported, with what the request says on top."""
    exported = known.details["tenant"]
    row = exported.get("row") or {}
    slug = str(request["name"])
    entry: dict[str, Any] = {"slug": slug, "state": exported["state"]}
    if slug == exported["slug"]:
        entry |= {"subdomain": row.get("subdomain"), "custom_domain": row.get("custom_domain")}
    entry["plan"] = exported.get("plan")
    columns = {
        name
        for (name,) in session.rows(
            "SELECT attname::text FROM pg_attribute WHERE attrelid = to_regclass('public.tenants') AND attnum > 0"
            " AND NOT attisdropped AND attgenerated = ''"
        )
    }
    carried = {name: value for name, value in row.items() if name in columns - set(OWN_COLUMNS) and value is not None}
    given = {name: request[name] for name in GIVEN if request.get(name) is not None}
    return {**entry, **given, "columns": {**carried, **(given.get("columns") or {})}}


def _with_id(made: Plan, known: Manifest, session: Session) -> Plan:
    """The application may have written the tenant's id into its tables: it is kept unless another row has it."""
    identity = known.details["tenant"].get("registry_id")
    taken = session.rows(
        "SELECT format_type(atttypid, NULL) <> 'uuid' OR EXISTS (SELECT FROM public.tenants WHERE id::text = %s)"
        " FROM pg_attribute WHERE attrelid = to_regclass('public.tenants') AND attname = 'id'",
        [identity],
    )
    if identity is None or taken[0][0]:
        return made

    def kept(action: Action) -> Action:
        if action.kind != "row_insert":
            return action
        return replace(action, data={**action.data, "row": {**action.data["row"], "id": identity}})

    return replace(made, actions=tuple(map(kept, made.actions)))


def _fill(todo: Todo, session: Session, client: Client, emitter: Emitter) -> None:
    """One psql, one transaction. Without its last word, which is written after everything was right, nothing is."""
    progress = Progress(emitter, "import", todo.known.dump_bytes)
    try:
        with Consumer(client.sql(todo.source.postgres.database)) as psql:
            psql.write(_text(_opening(todo, session), session))
            with (
                reader.opened(todo.source, todo.store, todo.known, "database") as archive,
                Pipeline(_counted(archive, progress), [client.script(todo.origin)]) as script,
            ):
                for chunk in understood(script, session.connection.server_version):
                    psql.write(chunk)
                script.finish()
                archive.finish()
                reader.confirm(todo.known, "database", archive)
            psql.write(_text(_closing(todo, session), session))
            psql.write(b"\nCOMMIT;\n")
            psql.finish()
    except SlipwayError as error:
        raise SlipwayError(
            f"The tenant {todo.tenant.slug} was not imported, and nothing was changed: {error.message}",
            hint=error.hint,
            phase=error.phase,
            details=error.details,
        ) from error


def understood(script: Iterable[bytes], server_version: int) -> Iterator[bytes]:
    """Without the one setting of pg_restore's preamble that servers before 17 do not know."""
    chunks = iter(script)
    head = b""
    for chunk in chunks:
        head += chunk
        if PREAMBLE_END in head or len(head) > PREAMBLE_BYTES:
            break
    if server_version < FIRST_TRANSACTION_TIMEOUT:
        head = head.replace(TRANSACTION_TIMEOUT, b"\n", 1)
    yield head
    yield from chunks


def _counted(archive: Pipeline, progress: Progress) -> Iterator[bytes]:
    for chunk in archive:
        yield chunk
        progress.at(archive.outgoing.bytes)


def _text(statements: Iterator[Any], session: Session) -> bytes:
    return "".join(f"{statement.as_string(session.connection)};\n" for statement in statements).encode()


def _opening(todo: Todo, session: Session) -> Iterator[Any]:
    composer = Composer(session.connection)
    sql = composer.sql
    schema = todo.plan.schema
    yield sql.SQL("BEGIN")
    yield sql.SQL("SET LOCAL search_path = pg_catalog")
    yield sql.SQL("SET LOCAL lock_timeout = '60s'")
    fence = sql.SQL(FENCE).format(
        key=sql.SQL(KEY).format(slug=composer.literal(todo.tenant.slug)),
        slug=composer.literal(todo.tenant.slug),
        revision=composer.literal(todo.plan.revision),
    )
    yield sql.SQL("DO {}").format(composer.literal(fence.as_string(session.connection)))
    if todo.before:
        yield _renamed(sql, schema, todo.before)
    yield sql.SQL("DELETE FROM slipway.tenant_migrations WHERE slug = {}").format(composer.literal(todo.tenant.slug))
    yield from map(composer.compose, todo.plan.actions)
    if todo.lender:
        yield _renamed(sql, todo.origin, LENT)
    if todo.origin != schema:
        yield _renamed(sql, schema, todo.origin)
    yield sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(todo.plan.role))


def _closing(todo: Todo, session: Session) -> Iterator[Any]:
    composer = Composer(session.connection)
    sql = composer.sql
    slug, schema = todo.tenant.slug, todo.plan.schema
    yield sql.SQL("SET LOCAL ROLE NONE")
    yield sql.SQL("SET LOCAL search_path = pg_catalog")
    if todo.origin != schema:
        yield _renamed(sql, todo.origin, schema)
    if todo.lender:
        yield _renamed(sql, LENT, todo.origin)
    yield from content.comparisons(schema, todo.wanted, session.connection)
    yield sql.SQL("SET LOCAL search_path = pg_catalog")
    for template, checksum in todo.known.details["tenant"]["templates"].items():
        yield sql.SQL(LEDGER).format(*map(composer.literal, (slug, template, checksum)))
    for table in sorted(todo.wanted.tables):
        yield sql.SQL("ANALYZE {}").format(sql.Identifier(schema, table))
    yield sql.SQL(
        "UPDATE slipway.tenants SET revision = txid_current(), updated_at = clock_timestamp() WHERE slug = {}"
    ).format(composer.literal(slug))
    origin = todo.as_dict()["from"]
    what = f"import export {todo.export.id} of tenant {origin['slug']} of stack {origin['stack']}"
    kept = [f"keep what was there as schema {todo.before}"] if todo.before else []
    yield events.statement(slug, [what, *kept, *(action.text for action in todo.plan.actions)])


def _renamed(sql: Any, old: str, new: str) -> Any:
    return sql.SQL("ALTER SCHEMA {} RENAME TO {}").format(sql.Identifier(old), sql.Identifier(new))


def _warnings(todo: Todo, session: Session) -> list[str]:
    """A rename follows every reference but those in the text of functions, which the server reads when they run."""
    schema = todo.plan.schema
    return rename.mentions(session.rows, schema, todo.origin) if todo.origin != schema else []
