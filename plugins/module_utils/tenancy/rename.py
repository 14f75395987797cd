# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Another slug, schema or role for a tenant: all of it in one transaction, and no row of its data is touched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..common import require, validate
from ..common.errors import SlipwayError
from ..postgres import failure
from ..postgres.options import PostgresOptions
from . import catalog, events, facts, target
from . import plan as planning
from .apply import KEY
from .catalog import Role
from .content import Rows
from .session import Session
from .statements import Composer

# Both names, always in the same order, so that two runs cannot wait for each other.
LOCK = "SELECT pg_advisory_xact_lock({first}), pg_advisory_xact_lock({second})"
WAIT = "SET LOCAL lock_timeout = '60s'"
RECORD = """
UPDATE slipway.tenants SET slug = {new}, schema_name = {schema}, role_name = {role}, revision = txid_current(),
       updated_at = clock_timestamp() WHERE slug = {old}
"""
ROW = "UPDATE public.tenants SET subdomain = {subdomain} WHERE id::text = {id}"
TAKEN = """
SELECT EXISTS (SELECT FROM slipway.tenants WHERE slug = %(slug)s AND slug <> %(old)s),
       EXISTS (SELECT FROM pg_namespace WHERE nspname = %(schema)s AND nspname <> %(old_schema)s),
       EXISTS (SELECT FROM pg_roles WHERE rolname = %(role)s AND rolname <> %(old_role)s)
"""
SUBDOMAIN = "SELECT 1 FROM public.tenants WHERE subdomain = %s AND id::text IS DISTINCT FROM %s"
# Other settings than the tenant's own that name its schema: nobody but their owner knows what they are for.
SETTINGS = """
SELECT coalesce(pg_get_userbyid(nullif(s.setrole, 0))::text, 'every role'),
       coalesce((SELECT datname FROM pg_database WHERE oid = s.setdatabase), 'every database')
FROM pg_db_role_setting s, unnest(s.setconfig) AS c(setting)
WHERE c.setting LIKE 'search_path=%%' AND strpos(c.setting, %s) > 0 ORDER BY 1, 2
"""
MENTIONS = """
SELECT quote_ident(p.proname) FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname = %s AND (strpos(coalesce(p.prosrc, ''), %s) > 0 OR strpos(coalesce(p.proconfig::text, ''), %s) > 0)
ORDER BY 1
"""
CLEARED = "MD5 password cleared"


@dataclass(frozen=True)
class Names:
    """What a tenant is called."""

    slug: str
    schema: str
    role: str
    subdomain: str | None

    def changes(self, new: Names) -> list[str]:
        """Sentences for what is renamed, slug first."""
        pairs = [
            ("tenant", self.slug, new.slug),
            ("schema", self.schema, new.schema),
            ("role", self.role, new.role),
            ("subdomain", self.subdomain, new.subdomain),
        ]
        return [f"rename {what} {before} to {after}" for what, before, after in pairs if before != after]

    def as_dict(self) -> dict[str, Any]:
        return {"slug": self.slug, "schema": self.schema, "role": self.role, "subdomain": self.subdomain}


def run(params: Mapping[str, Any], check: bool = False) -> dict[str, Any]:
    """Rename; a second run finds the new names and changes nothing."""
    psycopg2 = require.load("psycopg2", "python3-psycopg2")
    connection = target.settings({"stack": params["stack"]}) if params.get("stack") else params
    with Session.open(PostgresOptions.from_params(connection)) as session:
        try:
            return _run(params, session, check)
        except psycopg2.Error as error:
            raise failure.sentence(error) from error


def _run(params: Mapping[str, Any], session: Session, check: bool) -> dict[str, Any]:
    slug = validate.slug(str(params.get("name") or ""))
    new_slug = validate.slug(str(params.get("new_name") or slug))
    if not check:
        _lock(session, slug, new_slug)
    tenant = facts.find(session.rows, slug)
    if tenant is None:
        tenant = facts.find(session.rows, new_slug) if new_slug != slug else None
        if tenant is None:
            facts.require(session.rows, slug)
            raise AssertionError("a tenant that is missing has been told")
    now = Names(tenant.slug, tenant.schema, tenant.role, tenant.row.get("subdomain"))
    new = _wanted(params, slug, now, new_slug)
    actions = now.changes(new)
    result = {
        "changed": bool(actions),
        "tenant": new.as_dict(),
        "actions": actions,
        "warnings": _warnings(session.rows, now, new),
        "diff": {"before": now.as_dict(), "after": new.as_dict()},
    }
    if not actions:
        return result
    _refuse_taken(session.rows, now, new, tenant.registry_id)
    role = _role(session, now.role)
    if role and role.superuser:
        raise SlipwayError(f"The role {now.role} is a superuser, and not a tenant's alone.", hint="Look at it first.")
    _refuse_lost_password(params, role, now, new)
    if not check:
        _rename(params, session, now, new, role, tenant.registry_id, actions)
        session.commit()
    return result


def _lock(session: Session, *slugs: str) -> None:
    composer = Composer(session.connection)
    first, second = (composer.sql.SQL(KEY).format(slug=composer.literal(one)) for one in sorted(slugs))
    session.run(WAIT)
    session.run(composer.sql.SQL(LOCK).format(first=first, second=second))


def _wanted(params: Mapping[str, Any], old: str, now: Names, slug: str) -> Names:
    """Names that were made of the old slug are made of the new one; others stay unless they are given."""

    def follow(name: str) -> str:
        return name[: -len(old)] + slug if name == old or name.endswith(f"_{old}") else name

    label = old.replace("_", "-")
    subdomain = slug.replace("_", "-") if now.subdomain == label else now.subdomain
    given = params.get("subdomain")
    if given and not validate.LABEL.fullmatch(given):
        raise SlipwayError(
            f"The subdomain {given!r} is not one DNS label.",
            hint="Use lower-case letters, digits and hyphens, without a dot.",
        )
    return Names(
        slug=slug,
        schema=_name(params.get("new_schema") or follow(now.schema)),
        role=_name(params.get("new_role") or follow(now.role)),
        subdomain=given if given and now.subdomain is not None else subdomain,
    )


def _name(name: str) -> str:
    if name.startswith("pg_") or name in ("public", "slipway", "information_schema"):
        raise SlipwayError(f"The name {name!r} is reserved.", hint="Choose another one.")
    return validate.identifier(name)


def _refuse_taken(rows: Rows, now: Names, new: Names, registry_id: str | None) -> None:
    values = {
        "slug": new.slug,
        "old": now.slug,
        "schema": new.schema,
        "old_schema": now.schema,
        "role": new.role,
        "old_role": now.role,
    }
    taken = dict(zip(("slug", "schema", "role"), rows(TAKEN, values)[0], strict=True))
    if new.subdomain is not None and new.subdomain != now.subdomain:
        taken["subdomain"] = bool(rows(SUBDOMAIN, [new.subdomain, registry_id]))
    for what, is_taken in taken.items():
        if is_taken:
            raise SlipwayError(
                f"The {what} {new.as_dict()[what]} is taken already; tenant {now.slug} was not renamed.",
                hint="Choose another name, or erase what has it.",
            )


def _role(session: Session, name: str) -> Role | None:
    found = catalog.read(session, catalog.Wanted(roles=[name]))
    return found.roles.get(name)


def _refuse_lost_password(params: Mapping[str, Any], role: Role | None, now: Names, new: Names) -> None:
    """An md5 hash has the role's name in it, so the server throws it away with the name. SCRAM verifiers stay."""
    lost = role and new.role != now.role and (role.verifier or "").startswith("md5") and not params.get("password")
    if lost:
        raise _lost(now.role)


def _lost(role: str) -> SlipwayError:
    return SlipwayError(
        f"The role {role} has a password stored as md5, which the server deletes when the role is renamed.",
        hint="Give its password with `password`: it is set anew, as SCRAM, in the same transaction.",
    )


def _rename(
    params: Mapping[str, Any],
    session: Session,
    now: Names,
    new: Names,
    role: Role | None,
    registry_id: str | None,
    actions: list[str],
) -> None:
    composer = Composer(session.connection)
    sql = composer.sql
    if new.schema != now.schema:
        session.run(_renamed(sql, "SCHEMA", now.schema, new.schema))
    if new.role != now.role:
        _rename_role(params, session, now.role, new.role)
    if role and new.schema != now.schema:
        _move_search_path(session, composer, role, now, new)
    if new.subdomain != now.subdomain:
        values = {"subdomain": composer.literal(new.subdomain), "id": composer.literal(registry_id)}
        session.run(sql.SQL(ROW).format(**values))
    names = {"old": now.slug, "new": new.slug, "schema": new.schema, "role": new.role}
    session.run(sql.SQL(RECORD).format(**{key: composer.literal(value) for key, value in names.items()}))
    # Under both names, so that whoever asks for either finds what became of it.
    for slug in dict.fromkeys((now.slug, new.slug)):
        session.run(events.statement(slug, actions))


def _rename_role(params: Mapping[str, Any], session: Session, old: str, new: str) -> None:
    """The server tells by a notice that it deleted an md5 password: the only sign where it may not be read."""
    composer = Composer(session.connection)
    session.run("SET LOCAL client_min_messages = notice")
    heard = len(session.connection.notices)
    session.run(_renamed(composer.sql, "ROLE", old, new))
    cleared = any(CLEARED in notice for notice in session.connection.notices[heard:])
    session.run("SET LOCAL client_min_messages = warning")
    if params.get("password"):
        data = {"role": new, "password": params["password"]}
        session.run(composer.compose(planning.Action("role_password", "", "", None, None, data)))
    elif cleared:
        session.rollback()
        raise _lost(old)


def _move_search_path(session: Session, composer: Composer, role: Role, now: Names, new: Names) -> None:
    path = planning.split_path(role.settings.get("search_path", ""))
    if now.schema in path:
        value = [new.schema if part == now.schema else part for part in path]
        data = {"role": new.role, "name": "search_path", "value": value}
        session.run(composer.compose(planning.Action("role_setting", "", "", None, None, data)))


def _renamed(sql: Any, what: str, old: str, new: str) -> Any:
    return sql.SQL(f"ALTER {what} {{}} RENAME TO {{}}").format(sql.Identifier(old), sql.Identifier(new))


def _warnings(rows: Rows, now: Names, new: Names) -> list[str]:
    if now.schema == new.schema:
        return []
    other = [f"{role} in {place}" for role, place in rows(SETTINGS, [now.schema]) if role != now.role]
    warnings = mentions(rows, now.schema, now.schema)
    if other:
        warnings.append(
            f"These settings of search_path name schema {now.schema} and were left alone: {'; '.join(other)}. "
            "Change them by hand."
        )
    return warnings


def mentions(rows: Rows, schema: str, old: str) -> list[str]:
    """Functions of a schema that name it as it is called no longer."""
    names = [name for (name,) in rows(MENTIONS, [schema, old, old])]
    if not names:
        return []
    return [
        f"These functions of the schema name {old} in their text, which a rename does not change: "
        f"{', '.join(names)}. Write them anew without the schema's name."
    ]
