# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a PgBouncer learns who may log in: it asks the database, through a function that tells it of nobody else.

So a new tenant needs no reload, a suspended one is refused, and no file lists the tenants' secrets.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..common.errors import SlipwayError
from . import password
from .catalog import Catalog, Server
from .plan import HIDDEN, Action
from .session import Session
from .spec import Pooler
from .statements import Composer

FUNCTION = "function slipway.pooler_auth"
# Whatever the caller's settings, only pg_catalog is searched: the function reads what nobody else may.
CREATE = """
CREATE OR REPLACE FUNCTION slipway.pooler_auth(wanted text) RETURNS TABLE (role text, verifier text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS {body};
REVOKE ALL ON FUNCTION slipway.pooler_auth(text) FROM PUBLIC
"""
BODY = """
SELECT a.rolname::text, a.rolpassword::text FROM pg_authid a
WHERE a.rolname = wanted AND a.rolcanlogin AND (a.rolvaliduntil IS NULL OR a.rolvaliduntil > now())
  AND (a.rolname = ANY ({application}::text[])
       OR NOT (a.rolsuper OR a.rolcreaterole OR a.rolreplication OR a.rolbypassrls) AND EXISTS (
           SELECT FROM slipway.tenants t WHERE t.role_name = a.rolname AND t.state = 'present'))
"""
GRANT = """
GRANT USAGE ON SCHEMA slipway TO {role};
GRANT EXECUTE ON FUNCTION slipway.pooler_auth(text) TO {role}
"""
FIND = """
SELECT (SELECT prosrc FROM pg_proc p WHERE p.oid = f.oid), r.rolname IS NOT NULL, coalesce(r.rolcanlogin, false),
       coalesce(r.rolsuper OR r.rolcreatedb OR r.rolcreaterole OR r.rolreplication OR r.rolbypassrls, false),
       coalesce(has_function_privilege(r.oid, f.oid, 'EXECUTE') AND has_schema_privilege(r.oid, n.oid, 'USAGE'), false),
       coalesce((SELECT bool_or(x.grantee = 0)
                 FROM pg_proc p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) x
                 WHERE p.oid = f.oid), false)
FROM (SELECT to_regprocedure('slipway.pooler_auth(text)')::oid AS oid) f
LEFT JOIN pg_namespace n ON n.nspname = 'slipway'
LEFT JOIN pg_roles r ON r.rolname = %s
"""
VERIFIER = "SELECT rolpassword FROM pg_authid WHERE rolname = %s"


def needed(session: Session, pooler: Pooler | None, application: tuple[str, ...], found: Catalog) -> list[Action]:
    """What is missing for the pooler, with two queries; none without one."""
    return list(_needed(session, pooler, application, found.server)) if pooler else []


def _needed(session: Session, pooler: Pooler, application: tuple[str, ...], server: Server) -> Iterator[Action]:
    if not server.reads_passwords:
        raise SlipwayError(
            f"The user {server.user} may not read the verifiers of passwords, and so cannot let a pooler ask for them.",
            hint="Make tenants as a superuser, or use the provider's pooler and leave tenants_pooler_service out.",
        )
    if pooler.role in application:
        raise SlipwayError(
            f"The pooler's role {pooler.role} is one of the application's.", hint="Choose another tenants_pooler_user."
        )
    body = _body(session, application)
    source, exists, login, powers, granted, public = session.rows(FIND, (pooler.role,))[0]
    who = {"role": pooler.role, "password": pooler.password}
    if not exists:
        data = {**who, "login": True, "connection_limit": -1}
        yield Action("role_create", f"create role {pooler.role}", f"role {pooler.role}", None, {"login": True}, data)
    else:
        if powers:
            text = f"take all powers from role {pooler.role}"
            yield Action("role_powers", text, f"role {pooler.role} powers", True, False, {"role": pooler.role})
        if not login:
            data = {"role": pooler.role, "login": True}
            yield Action(
                "role_login", f"allow role {pooler.role} to log in", f"role {pooler.role} login", False, True, data
            )
        if not password.matches(pooler.password, session.rows(VERIFIER, (pooler.role,))[0][0]):
            text = f"set password of role {pooler.role}"
            yield Action("role_password", text, f"role {pooler.role} password", HIDDEN, f"{HIDDEN} (new)", who)
    if source != body or public:
        before = None if source is None else "another one"
        yield Action("pooler_function", f"create {FUNCTION}", FUNCTION, before, "created", {"body": body})
    if not granted:
        text = f"let role {pooler.role} call {FUNCTION}"
        yield Action("pooler_grant", text, f"{FUNCTION} grants {pooler.role}", False, True, {"role": pooler.role})


def _body(session: Session, application: tuple[str, ...]) -> str:
    sql = Composer(session.connection).sql
    return str(sql.SQL(BODY).format(application=sql.Literal(list(application))).as_string(session.connection))


def apply(session: Session, actions: list[Action]) -> None:
    """Carry them out, under the lock of the store. The caller commits."""
    composer = Composer(session.connection)
    sql = composer.sql
    for action in actions:
        if action.kind == "pooler_function":
            session.run(sql.SQL(CREATE).format(body=sql.Literal(action.data["body"])))
        elif action.kind == "pooler_grant":
            session.run(sql.SQL(GRANT).format(role=sql.Identifier(action.data["role"])))
        else:
            session.run(composer.compose(action))
