# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Wanted against found: the actions that make the one out of the other. Pure, so check mode and a real run agree."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..common.errors import SlipwayError
from . import acl, password, registry, templates
from .catalog import Catalog, ObjectGroup, Record, Role, Schema
from .spec import Request, Tenant

HIDDEN = "********"
COLUMNS = "COLUMNS"


@dataclass(frozen=True)
class Action:
    """One change. `key`, `before` and `after` are its lines of the diff; `data` is what the SQL is composed from."""

    kind: str
    text: str
    key: str
    before: Any
    after: Any
    data: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def alone(self) -> bool:
        """Whether it needs what is before it committed, or PostgreSQL refuses to do it inside a transaction."""
        if self.kind == "template":
            return not self.data["template"].transactional
        return self.kind in ("index_drop", "sessions_end")


@dataclass(frozen=True, slots=True)
class Plan:
    """What one tenant needs. `revision` is the state that the plan was made for."""

    tenant: Tenant
    schema: str
    role: str
    revision: int | None
    actions: tuple[Action, ...]
    # rights that nobody asked for, which `exclusive` would take away
    extras: tuple[str, ...] = ()

    @property
    def alone(self) -> bool:
        return any(action.alone for action in self.actions)


def make(tenant: Tenant, request: Request, found: Catalog) -> Plan:
    """The plan of one tenant, or a sentence that says why there can be none."""
    record = found.records.get(tenant.slug)
    target = _Target(tenant, request, found, record)
    actions = tuple(_absent(target) if tenant.state == "absent" else _present(target))
    extras = () if request.exclusive or tenant.state == "absent" else tuple(_extras(target, actions))
    return Plan(tenant, target.schema, target.role, record.revision if record else None, actions, extras)


class _Target:
    """A tenant with its names settled: those on record win over those that the prefixes would make today."""

    def __init__(self, tenant: Tenant, request: Request, found: Catalog, record: Record | None) -> None:
        self.tenant = tenant
        self.request = request
        self.found = found
        self.record = record
        self.schema = record.schema if record else tenant.schema
        self.role = record.role if record else tenant.role
        self.role_now: Role | None = found.roles.get(self.role)
        self.schema_now: Schema | None = found.schemas.get(self.schema)
        self.active = tenant.state == "present"
        self.exclusive = request.exclusive
        direct = request.application_grant == "grants"
        # an application that connects as the tenant's own role needs nothing on top
        self.applications = tuple(role for role in request.application_roles if role != self.role)
        self.granted = self.applications if direct else ()
        self.members = () if direct else self.applications


def _present(target: _Target) -> Iterator[Action]:
    _refuse_foreign(target)
    yield from _row(target)
    yield from _role(target)
    yield from _settings(target)
    yield from _memberships(target)
    yield from _schema(target)
    yield from _schema_grants(target)
    yield from _default_grants(target)
    yield from _object_grants(target)
    yield from _record(target)
    yield from _templates(target)
    yield from _sessions(target)


def _refuse_foreign(target: _Target) -> None:
    """A name that belongs to somebody else is never taken over."""
    tenant, found = target.tenant, target.found
    missing = sorted(set(target.applications) - found.server.application_roles)
    if missing:
        raise SlipwayError(
            f"The application role {missing[0]} does not exist on the server.",
            hint="Create it first (it is the database user of the application), or correct application_roles.",
        )
    for what, name in (("schema", target.schema), ("role", target.role)):
        holder = found.by_name.get((what, name))
        if holder and holder.slug != tenant.slug:
            raise SlipwayError(
                f"The {what} {name} belongs to tenant {holder.slug}.", hint=f"Use another slug or {what}_prefix."
            )
    _refuse_role(target)


def _refuse_role(target: _Target) -> None:
    role = target.role_now
    if role is None or target.record is not None:
        return
    if role.superuser or role.name == target.found.server.user or role.name in target.request.application_roles:
        raise SlipwayError(
            f"The role {role.name} exists and is not a tenant's: it is a superuser or the application's own.",
            hint="Use another slug or role_prefix.",
        )
    if role.other_databases and target.tenant.state != "absent":
        raise SlipwayError(
            f"The role {role.name} is in use by database {role.other_databases[0]} of the same server.",
            hint="Use another role_prefix for this database, so that the two tenants do not share a role.",
        )


def _row(target: _Target) -> Iterator[Action]:
    tenant, found = target.tenant, target.found
    wanted = registry.wanted_row(tenant, found)
    row = registry.find_row(tenant, found)
    if row is None:
        complete = registry.new_row(wanted, found.columns, tenant)
        data = {"row": complete, "now": registry.needs_time(found.columns, complete)}
        yield Action("row_insert", "insert row in public.tenants", "row", None, _shown(complete, found), data)
        return
    changed = registry.difference(row, wanted)
    if changed:
        before = _shown({column: row.get(column) for column in changed}, found)
        text = f"update {', '.join(changed)} in public.tenants"
        yield Action("row_update", text, "row", before, _shown(changed, found), {"row": changed, "id": str(row["id"])})


def _shown(row: Mapping[str, Any], found: Catalog) -> dict[str, Any]:
    """A row as people read it in a diff: the plan's name, and no ids."""
    shown = {column: value for column, value in row.items() if column not in ("id", "plan_id")}
    if "plan_id" in row:
        shown["plan"] = registry.plan_name(row["plan_id"], found.plans)
    return shown


def _role(target: _Target) -> Iterator[Action]:
    tenant, role, name = target.tenant, target.role_now, target.role
    login = tenant.login and target.active
    key = f"role {name}"
    after: dict[str, Any]
    secret = tenant.password if login else None
    if role is None:
        data = {"role": name, "login": login, "connection_limit": tenant.connection_limit, "password": secret}
        after = {"login": login, "connection_limit": tenant.connection_limit}
        if secret:
            after["password"] = HIDDEN
        yield Action("role_create", f"create role {name}", key, None, after, data)
        return
    if role.powers:
        text = f"take {', '.join(role.powers)} from role {name}"
        yield Action("role_powers", text, f"{key} powers", list(role.powers), [], {"role": name})
    if role.login != login:
        text = f"{'allow' if login else 'forbid'} role {name} to log in"
        yield Action("role_login", text, f"{key} login", role.login, login, {"role": name, "login": login})
    if role.connection_limit != tenant.connection_limit:
        limit = tenant.connection_limit
        text = f"set connection limit of role {name} to {limit}"
        data = {"role": name, "limit": limit}
        yield Action("role_limit", text, f"{key} connection_limit", role.connection_limit, limit, data)
    if secret and _password_differs(target, role, secret):
        data = {"role": name, "password": secret}
        text = f"set password of role {name}"
        yield Action("role_password", text, f"{key} password", HIDDEN, f"{HIDDEN} (new)", data)


def _password_differs(target: _Target, role: Role, secret: str) -> bool:
    if target.found.server.reads_passwords:
        return not password.matches(secret, role.verifier)
    # Without the right to read the verifier it is set when login is first allowed, and again only when asked.
    return not role.login or target.tenant.update_password


def _sessions(target: _Target) -> Iterator[Action]:
    """Who is forbidden to log in is put out as well, once that is committed: pools come back at once."""
    role = target.role_now
    if role is None or target.active:
        return
    count = target.found.sessions.get(role.name, 0)
    if count or role.login:
        text = f"end the sessions of role {role.name}"
        yield Action("sessions_end", text, f"role {role.name} sessions", count, 0, {"role": role.name})


def _settings(target: _Target) -> Iterator[Action]:
    now = target.role_now.settings if target.role_now else {}
    path = [target.schema, *target.request.shared_schemas]
    current = split_path(now.get("search_path", ""))
    if current != path:
        text = f"set search_path of role {target.role} to {', '.join(path)}"
        yield _setting(target, "search_path", text, (", ".join(current) or None, ", ".join(path)), path)
    timeout = target.tenant.statement_timeout
    before = now.get("statement_timeout")
    if before != timeout:
        text = f"{'reset' if timeout is None else 'set'} statement_timeout of role {target.role}"
        yield _setting(target, "statement_timeout", text, (before, timeout), None if timeout is None else [timeout])


def _setting(
    target: _Target, name: str, text: str, change: tuple[str | None, str | None], value: list[str] | None
) -> Action:
    data = {"role": target.role, "name": name, "value": value}
    return Action("role_setting", text, f"role {target.role} {name}", *change, data)


def _memberships(target: _Target) -> Iterator[Action]:
    now = target.role_now.members if target.role_now else frozenset()
    server = target.found.server
    needed = [] if server.superuser else [server.user]  # to create objects for the role, one has to be a member of it
    if target.active:
        needed += [member for member in target.members if member not in needed]
    for member in needed:
        if member not in now:
            text = f"grant role {target.role} to {member}"
            data = {"role": target.role, "member": member}
            yield Action("member_grant", text, f"member {member} of {target.role}", False, True, data)
    suspended = set() if target.active else set(target.applications)
    surplus = now - set(needed) if target.exclusive else now & suspended
    for member in sorted(surplus - {server.user}):
        text = f"revoke role {target.role} from {member}"
        data = {"role": target.role, "member": member}
        yield Action("member_revoke", text, f"member {member} of {target.role}", True, False, data)


def _schema(target: _Target) -> Iterator[Action]:
    data = {"schema": target.schema, "role": target.role}
    key = f"schema {target.schema}"
    if target.schema_now is None:
        yield Action("schema_create", f"create schema {target.schema}", key, None, {"owner": target.role}, data)
    elif target.schema_now.owner != target.role:
        before = target.schema_now.owner
        text = f"give schema {target.schema} to role {target.role}"
        yield Action("schema_owner", text, f"{key} owner", before, target.role, data)


def _schema_grants(target: _Target) -> Iterator[Action]:
    now = target.schema_now.grants if target.schema_now else {}
    key = f"schema {target.schema} grants"
    for role in target.granted:
        # who loses the schema loses what comes with owning it
        held = "U" in now.get(role, ()) and not (target.schema_now and target.schema_now.owner == role)
        if target.active and not held:
            data = {"schema": target.schema, "grantee": role}
            text = f"grant USAGE on schema {target.schema} to {role}"
            yield Action("schema_grant", text, f"{key} {role}", None, "USAGE", data)
    keepers = {target.role, *(target.granted if target.active else ())}
    if target.schema_now:
        keepers.add(target.schema_now.owner)
    for grantee in _surplus(target, now, keepers):
        data = {"schema": target.schema, "grantee": grantee}
        text = f"revoke all on schema {target.schema} from {grantee or 'PUBLIC'}"
        yield Action("schema_revoke", text, f"{key} {grantee or 'PUBLIC'}", "".join(sorted(now[grantee])), None, data)
    owner = target.schema_now.owner if target.schema_now else ""
    for role, taken in _beyond(target, now, ("USAGE",)) if target.active else ():
        if role != owner:
            text = f"revoke {', '.join(taken)} on schema {target.schema} from {role}"
            more = {"schema": target.schema, "grantee": role, "taken": taken}
            yield Action("schema_revoke", text, f"{key} {role} beyond USAGE", ", ".join(taken), None, more)


def _surplus(target: _Target, now: Mapping[str, frozenset[str]], keepers: set[str]) -> list[str]:
    """Who must lose what they hold: PUBLIC always, the application while suspended, others when `exclusive`."""
    doomed = {acl.PUBLIC, *(() if target.active else target.applications)}
    return sorted(grantee for grantee in set(now) - keepers if grantee in doomed or target.exclusive)


def _beyond(
    target: _Target, now: Mapping[str, frozenset[str]], needed: Iterable[str]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Which applications hold more than they need, and what of it."""
    for role in target.applications if target.exclusive else ():
        surplus = now.get(role, frozenset()) - (acl.letters(needed) if role in target.granted else frozenset())
        if surplus:
            yield role, acl.privileges(surplus)


def _extras(target: _Target, actions: Sequence[Action]) -> Iterator[str]:
    """What would be taken away if `exclusive` were asked for."""
    strict = copy.copy(target)
    strict.exclusive = True
    planned = {action.text for action in actions}
    for find in (_memberships, _schema_grants, _default_grants, _object_grants):
        for action in find(strict):
            if action.kind.endswith("_revoke") and action.text not in planned:
                yield action.text.replace("revoke ", "", 1)


def _default_grants(target: _Target) -> Iterator[Action]:
    """What objects that the tenant's role creates later will allow."""
    everywhere = target.found.defaults.get((target.role, "", "FUNCTIONS"))
    if everywhere is None or acl.PUBLIC in everywhere:
        text = f"revoke EXECUTE on future functions of role {target.role} from PUBLIC"
        key = f"defaults of {target.role} FUNCTIONS PUBLIC"
        yield Action("default_revoke_public", text, key, "EXECUTE", None, {"role": target.role})
    for kind, privileges in acl.APPLICATION.items():
        now = target.found.defaults.get((target.role, target.schema, kind), {})
        for grantee in target.granted:
            if acl.letters(privileges) <= now.get(grantee, frozenset()):
                continue
            data = _grant_data(target, kind, grantee)
            text = f"grant {', '.join(privileges)} on future {kind.lower()} in {target.schema} to {grantee}"
            key = f"defaults in {target.schema} {kind} {grantee}"
            yield Action("default_grant", text, key, None, ", ".join(privileges), data)
        for grantee in _surplus(target, now, {target.role, *target.applications}):
            data = _grant_data(target, kind, grantee)
            who = grantee or "PUBLIC"
            text = f"revoke all on future {kind.lower()} in {target.schema} from {who}"
            key = f"defaults in {target.schema} {kind} {who}"
            yield Action("default_revoke", text, key, "".join(sorted(now[grantee])), None, data)
        for role, taken in _beyond(target, now, privileges):
            text = f"revoke {', '.join(taken)} on future {kind.lower()} in {target.schema} from {role}"
            key = f"defaults in {target.schema} {kind} {role} beyond need"
            more = {**_grant_data(target, kind, role), "taken": taken}
            yield Action("default_revoke", text, key, ", ".join(taken), None, more)


def _object_grants(target: _Target) -> Iterator[Action]:
    """What the objects that are there allow."""
    groups = target.schema_now.objects if target.schema_now else ()
    superuser = target.found.server.superuser
    for kind, privileges in acl.APPLICATION.items():
        # an object of somebody else's can only be changed by a superuser: left alone instead of failing each time
        mine = [group for group in groups if group.kind == kind and (superuser or group.owner == target.role)]
        for grantee in target.granted:
            lacking = sum(
                group.count
                for group in mine
                if group.owner != grantee and not acl.letters(privileges) <= group.grants.get(grantee, frozenset())
            )
            if lacking and target.active:
                text = f"grant {', '.join(privileges)} on {lacking} {kind.lower()} in {target.schema} to {grantee}"
                key = f"grants in {target.schema} {kind} {grantee}"
                data = _grant_data(target, kind, grantee)
                yield Action("objects_grant", text, key, f"missing on {lacking}", ", ".join(privileges), data)
        yield from _strangers(target, kind, kind, mine)
        yield from _objects_beyond(target, kind, mine)
    columns = [group for group in groups if group.kind == COLUMNS and (superuser or group.owner == target.role)]
    # what is taken away on a table goes on each of its columns
    yield from _strangers(target, COLUMNS, "TABLES", columns)


def _strangers(target: _Target, what: str, kind: str, groups: Sequence[ObjectGroup]) -> Iterator[Action]:
    """Who has nothing to do with the tenant and holds rights all the same."""
    strangers: dict[str, int] = {}
    for group in groups:
        for grantee in _surplus(target, group.grants, {group.owner, target.role, *target.applications}):
            strangers[grantee] = strangers.get(grantee, 0) + group.count
    for grantee, count in sorted(strangers.items()):
        who = grantee or "PUBLIC"
        text = f"revoke all on {count} {what.lower()} in {target.schema} from {who}"
        key = f"grants in {target.schema} {what} {who}"
        yield Action("objects_revoke", text, key, f"granted on {count}", None, _grant_data(target, kind, grantee))


def _objects_beyond(target: _Target, kind: str, mine: Sequence[ObjectGroup]) -> Iterator[Action]:
    beyond: dict[str, set[str]] = {}
    for group in mine:
        for role, taken in _beyond(target, group.grants, acl.APPLICATION[kind]):
            if role != group.owner:
                beyond.setdefault(role, set()).update(taken)
    for role, found in sorted(beyond.items()):
        taken = tuple(name for name in acl.LETTERS if name in found)
        text = f"revoke {', '.join(taken)} on {kind.lower()} in {target.schema} from {role}"
        key = f"grants in {target.schema} {kind} {role} beyond need"
        data = {**_grant_data(target, kind, role), "taken": taken}
        yield Action("objects_revoke", text, key, ", ".join(taken), None, data)


def _grant_data(target: _Target, kind: str, grantee: str) -> dict[str, Any]:
    return {
        "schema": target.schema,
        "role": target.role,
        "kind": kind,
        "grantee": grantee,
        "privileges": acl.APPLICATION[kind],
    }


def _record(target: _Target) -> Iterator[Action]:
    """The line in slipway.tenants."""
    tenant, record = target.tenant, target.record
    data = {
        "slug": tenant.slug,
        "subdomain": tenant.subdomain,
        "schema": target.schema,
        "role": target.role,
        "state": tenant.state,
    }
    if record is None:
        yield Action("register", "register in slipway.tenants", "state", None, tenant.state, data)
        return
    if record.state != tenant.state:
        verb = "resume" if target.active else "suspend"
        yield Action("set_state", f"{verb} tenant {tenant.slug}", "state", record.state, tenant.state, data)
    row = registry.find_row(tenant, target.found)
    row_id = None if row is None else str(row["id"])
    if row_id != record.registry_id:
        text = "link to its row in public.tenants"
        yield Action("link", text, "registry_id", record.registry_id, row_id or "the new row", data)


def _templates(target: _Target) -> Iterator[Action]:
    ledger = target.found.ledger.get(target.tenant.slug, {})
    pending = templates.pending(target.request.templates, ledger)
    if not all(template.transactional for template in pending):
        for index in target.found.invalid_indexes.get(target.schema, ()):
            text = f"drop invalid index {index} in {target.schema}, left by an earlier run"
            where = {"schema": target.schema, "index": index}
            yield Action("index_drop", text, f"index {target.schema}.{index}", "invalid", None, where)
    for template in pending:
        data = {"template": template}
        yield Action("template", f"run {template.name}", f"template {template.name}", None, template.checksum, data)


def _absent(target: _Target) -> Iterator[Action]:
    tenant, role, schema, record = target.tenant, target.role_now, target.schema_now, target.record
    row = registry.find_row(tenant, target.found)
    shared = bool(role and record is None and role.other_databases)
    if schema is None and record is None and row is None and (role is None or shared):
        return
    _refuse_role(target)
    _refuse_unasked(tenant)
    if schema:
        text = f"drop schema {schema.name} with all it holds"
        key = f"schema {schema.name}"
        yield Action("schema_drop", text, key, {"owner": schema.owner}, None, {"schema": schema.name})
    if row is not None:
        yield Action(
            "row_delete", "delete row in public.tenants", "row", _shown(row, target.found), None, {"id": str(row["id"])}
        )
    if role and not shared:
        keep = role.other_databases
        text = (
            f"drop what role {role.name} owns here (database {keep[0]} uses it)" if keep else f"drop role {role.name}"
        )
        data = {"role": role.name, "keep": bool(keep)}
        yield Action("role_drop", text, f"role {role.name}", {"login": role.login}, "kept" if keep else None, data)
    if record:
        yield Action("unregister", "remove from slipway.tenants", "state", record.state, None, {"slug": tenant.slug})


def _refuse_unasked(tenant: Tenant) -> None:
    if not tenant.force:
        raise SlipwayError(
            f"Tenant {tenant.slug} would be removed with all its data, which needs force: true.",
            hint="Use state: suspended to take it off line and keep its data.",
        )
    if tenant.export:
        raise SlipwayError(
            f"Tenant {tenant.slug} has to be exported before it is removed, which a run over all tenants does not do.",
            hint=f"Erase it with playbooks/tenant.yml -e tenant_erase={tenant.slug}, which exports it first, or say "
            "export: false.",
        )


def split_path(value: str) -> list[str]:
    return [part.strip().strip('"') for part in value.split(",") if part.strip()]
