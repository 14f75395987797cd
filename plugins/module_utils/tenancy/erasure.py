# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Erasing a tenant for good, with a certificate of what was there.

The tenant is suspended first, so that nothing changes any more. Its export, if one is wanted, is read back before
anything goes. One transaction then counts what is there, under locks, removes it, and writes the certificate into the
audit table: whoever is killed before its COMMIT has erased nothing, and after it the next run finds the certificate
there and only has to write the file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ..backup import manifest
from ..backup import spec as backup_spec
from ..backup.spec import Spec
from ..common import require, validate
from ..common.errors import SlipwayError
from ..common.events import Emitter
from ..common.files import write_json
from ..common.version import __version__
from ..postgres import failure
from . import catalog, content, engine, events, export, facts, holders, spec, target
from . import plan as planning
from .apply import KEY
from .catalog import Wanted
from .content import Content
from .facts import Facts
from .plan import Plan
from .session import Session
from .spec import Request
from .statements import Composer

DIRECTORY = Path("/var/lib/slipway/erasures")
CERTIFICATE = "certificate"
VERSION = 1
SCOPE = (
    "The schemas, the role and the rows of this tenant in this database. Files, other services, logs and what people "
    "copied elsewhere were not searched; backups are named with the time until which they are kept."
)

LOCK = "SELECT pg_advisory_xact_lock({key})"
WAIT = "SET LOCAL lock_timeout = '60s'"
SCHEMAS = """
SELECT nspname::text FROM pg_namespace
WHERE nspname = %s OR nspowner = (SELECT oid FROM pg_roles WHERE rolname = %s) ORDER BY 1
"""
LARGE_OBJECTS = """
SELECT count(*) FROM pg_largeobject_metadata WHERE lomowner = (SELECT oid FROM pg_roles WHERE rolname = %s)
"""
# A tenant that was renamed has exports under its earlier slugs.
FORMER = """
WITH RECURSIVE former (slug) AS (
    SELECT %s::text
    UNION
    SELECT e.slug FROM former f JOIN slipway.tenant_events e
      ON e.actions ->> 0 = 'rename tenant ' || e.slug || ' to ' || f.slug
)
SELECT slug FROM former ORDER BY slug
"""
FORMER_SCHEMAS = """
SELECT DISTINCT split_part(a.action, ' ', 3)
FROM slipway.tenant_events e, jsonb_array_elements_text(e.actions) AS a (action)
WHERE e.slug = ANY(%s) AND a.action LIKE 'rename schema %% to %%'
"""
ERASED = """
SELECT a.action -> 'certificate' FROM slipway.tenant_events e, jsonb_array_elements(e.actions) AS a (action)
WHERE e.slug = %s AND jsonb_typeof(a.action) = 'object' AND a.action ? 'certificate' ORDER BY e.id DESC LIMIT 1
"""


@dataclass(frozen=True)
class Found:
    """What there is of a tenant now."""

    tenant: Facts
    schemas: dict[str, Content]
    large_objects: int
    slugs: list[str]

    @property
    def rows(self) -> int:
        return sum(one.rows for one in self.schemas.values())

    def as_dict(self) -> dict[str, Any]:
        return {
            "schemas": {name: one.as_dict() for name, one in self.schemas.items()},
            "tables": sum(len(one.tables) for one in self.schemas.values()),
            "rows": self.rows,
            "large_objects": self.large_objects,
        }


def run(request: Mapping[str, Any], emitter: Emitter) -> dict[str, Any]:
    """Erase; the result holds the certificate. A second run finds it and changes nothing."""
    rules = _rules(request)
    slug = rules.tenants[0].slug
    exports = target.specification(request, slug)
    with Session.open(rules.connection) as session:
        tenant = _asked(session, lambda: facts.find(session.rows, slug))
        if tenant is None:
            return _already(session, request, slug)
        _refuse_unconfirmed(request, slug)
        with emitter.phase("preflight"):
            # A bucket that does not answer is found out before anything has gone.
            kept = _asked(session, lambda: _holders(session, exports, tenant))
        with emitter.phase("suspend"):
            _suspend(request, slug, emitter)
        with emitter.phase("tidy"):
            export.tidy(exports)
        exported = export.make(exports, emitter, prove=True) if request.get("export", True) else None
        if exported:
            kept = _asked(session, lambda: _holders(session, exports, tenant))
        with emitter.phase("erase"):
            certificate = _asked(session, lambda: _erase(session, request, rules, exported, kept))
    path = _write(str(request["stack"]), certificate)
    emitter.info(f"Tenant {slug} is erased: {certificate['rows']} rows. The certificate is {path}.")
    return {"changed": True, "erasure": certificate, "path": str(path)}


def plan(request: Mapping[str, Any]) -> dict[str, Any]:
    """What would go, and which backups would still hold it; reads only."""
    rules = _rules(request)
    slug = rules.tenants[0].slug
    with Session.open(rules.connection) as session:
        tenant = _asked(session, lambda: facts.find(session.rows, slug))
        if tenant is None:
            return _already(session, request, slug, check=True)
        found = _asked(session, lambda: _found(session, tenant))
        actions = _asked(session, lambda: _plan(session, rules))
        exports = target.specification(request, slug)
        kept = _asked(session, lambda: _holders(session, exports, tenant))
        erasure = {
            "slug": slug,
            **found.as_dict(),
            "deleted": [action.text for action in actions.actions],
            "export": export.places(exports) if request.get("export", True) else None,
            "backups": kept,
        }
        return {"changed": True, "erasure": erasure, "path": ""}


def _asked(session: Session, work: Any) -> Any:
    """What the server refuses becomes a sentence, and nothing of a failed transaction stays."""
    psycopg2 = require.load("psycopg2", "python3-psycopg2")
    try:
        return work()
    except psycopg2.Error as error:
        raise failure.sentence(error) from error
    finally:
        if not session.connection.closed:
            session.rollback()


def _rules(request: Mapping[str, Any]) -> Request:
    entry = {"slug": request.get("name"), "state": "absent", "force": True, "export": False}
    return spec.parse({**target.settings(request), "tenants": [entry], "templates": []})


def _refuse_unconfirmed(request: Mapping[str, Any], slug: str) -> None:
    if request.get("confirm") != slug:
        raise SlipwayError(
            f"Erasing tenant {slug} removes its data for good, and nobody confirmed it.",
            hint=f"Say that you mean it: -e tenant_erase_confirm={slug}, or --confirm {slug} on the host.",
        )


def _already(session: Session, request: Mapping[str, Any], slug: str, *, check: bool = False) -> dict[str, Any]:
    """It is gone; a run that was killed may not have written the file."""
    known = _asked(session, lambda: _certificate(session, slug))
    if known is None:
        facts.require(session.rows, slug)
    path = _path(str(request["stack"]), known)
    changed = not path.exists() if check else write_certificate(path, known)
    return {"changed": changed, "erasure": known, "path": str(path)}


def _certificate(session: Session, slug: str) -> dict[str, Any] | None:
    if session.rows("SELECT to_regclass('slipway.tenant_events')")[0][0] is None:
        return None
    lines = session.rows(ERASED, [slug])
    return dict(lines[0][0]) if lines else None


def _holders(session: Session, exports: Spec, tenant: Facts) -> list[dict[str, Any]]:
    slugs = [slug for (slug,) in session.rows(FORMER, [tenant.slug])]
    schemas = {name for (name,) in session.rows(SCHEMAS, [tenant.schema, tenant.role])}
    schemas |= {tenant.schema, *(name for (name,) in session.rows(FORMER_SCHEMAS, [slugs]))}
    session.rollback()  # asking the bucket may take long
    return holders.holders(exports, slugs, sorted(schemas), tenant.created)


def _suspend(request: Mapping[str, Any], slug: str, emitter: Emitter) -> None:
    """Nobody gets in any more, and who is in is put out."""
    rules = target.settings(request)
    tenant = {"slug": slug, "state": "suspended"}
    result = engine.converge({**rules, "tenants": [tenant], "templates": [], "source": "inventory"}, emitter)
    engine.raise_on_failure(result)


def _found(session: Session, tenant: Facts) -> Found:
    names = [name for (name,) in session.rows(SCHEMAS, [tenant.schema, tenant.role])]
    return Found(
        tenant,
        {name: content.read(session.rows, name) for name in names},
        int(session.rows(LARGE_OBJECTS, [tenant.role])[0][0]),
        [slug for (slug,) in session.rows(FORMER, [tenant.slug])],
    )


def _plan(session: Session, rules: Request) -> Plan:
    tenant = rules.tenants[0]
    wanted = Wanted(slugs=[tenant.slug], subdomains=[tenant.subdomain], schemas=[tenant.schema], roles=[tenant.role])
    return planning.make(tenant, rules, catalog.read(session, wanted))


def _erase(
    session: Session,
    request: Mapping[str, Any],
    rules: Request,
    exported: dict[str, Any] | None,
    kept: list[dict[str, Any]],
) -> dict[str, Any]:
    """One transaction: lock, count, remove, certify."""
    composer = Composer(session.connection)
    slug = rules.tenants[0].slug
    session.run(WAIT)
    session.run(composer.sql.SQL(LOCK).format(key=composer.sql.SQL(KEY).format(slug=composer.literal(slug))))
    tenant = facts.require(session.rows, slug)
    for name in [name for (name,) in session.rows(SCHEMAS, [tenant.schema, tenant.role])]:
        for table in content.tables(session.rows, name):
            session.run(composer.sql.SQL("LOCK TABLE ONLY {}").format(composer.sql.Identifier(name, table)))
    found = _found(session, tenant)
    session.run("SET LOCAL search_path = pg_catalog")
    todo = _plan(session, rules)
    texts = [action.text for action in todo.actions]
    user = session.rows("SELECT session_user::text")[0][0]
    certificate = _certify(request, rules, found, texts, exported, kept, user)
    session.run(composer.join([composer.compose(action) for action in todo.actions]))
    session.run("DELETE FROM slipway.tenant_problems WHERE registry_id = %s", [tenant.registry_id])
    session.run(events.statement(slug, [*texts, {CERTIFICATE: certificate}]))
    session.commit()
    return certificate


def _certify(
    request: Mapping[str, Any],
    rules: Request,
    found: Found,
    deleted: list[str],
    exported: dict[str, Any] | None,
    kept: list[dict[str, Any]],
    user: str,
) -> dict[str, Any]:
    now = datetime.now(timezone.utc)
    tenant = found.tenant
    facts_told: dict[str, Any] = {
        "format": "slipway-erasure",
        "version": VERSION,
        "id": manifest.new_id(now),
        "stack": str(request["stack"]),
        "database": rules.connection.database,
        "server": rules.connection.place(),
        "slug": tenant.slug,
        "former_slugs": [slug for slug in found.slugs if slug != tenant.slug],
        "registry_id": tenant.registry_id,
        "tenant_since": tenant.created,
        "erased_at": manifest.moment(now),
        "erased_by": {"operator": str(request.get("operator") or ""), "database_user": user},
        "reason": str(request.get("reason") or ""),
        "deleted": deleted,
        **found.as_dict(),
        "export": _export(exported, found),
        "backups": kept,
        "backups_searched": str(request["stack"]) in backup_spec.configured(),
        "scope": SCOPE,
        "slipway_version": __version__,
    }
    return {**facts_told, "sha256": digest(facts_told)}


def _export(exported: dict[str, Any] | None, found: Found) -> dict[str, Any] | None:
    """The export that was made first, and whether it holds exactly what was erased."""
    if exported is None:
        return None
    last = found.schemas.get(found.tenant.schema, Content())
    return {
        "id": exported["id"],
        "places": exported["places"],
        "verified": exported["verified"],
        "dump_sha256": exported["contents"]["database"]["sha256"],
        "equals_what_was_erased": exported["details"]["content"] == last.as_dict(),
    }


def digest(certificate: Mapping[str, Any]) -> str:
    """Over all other fields: the file and the audit table can be compared."""
    told = {name: value for name, value in certificate.items() if name != "sha256"}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def _path(stack: str, certificate: Mapping[str, Any]) -> Path:
    slug = validate.slug(str(certificate["slug"]))
    return DIRECTORY / validate.stack_name(stack) / f"{slug}-{certificate['id']}.json"


def _write(stack: str, certificate: Mapping[str, Any]) -> Path:
    path = _path(stack, certificate)
    write_certificate(path, certificate)
    return path


def write_certificate(path: Path, certificate: Mapping[str, Any]) -> bool:
    """Return whether it had to be written."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return write_json(path, certificate)
