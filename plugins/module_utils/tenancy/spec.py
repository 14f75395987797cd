# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is wanted: tenants and how to treat them, checked in full before anything is touched."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..common import validate
from ..common.errors import SlipwayError
from ..postgres.options import PostgresOptions
from .templates import Template, parse_all

STATES = ("present", "suspended", "absent")
SOURCES = ("inventory", "registry")
APPLICATION_GRANTS = ("grants", "membership")
ON_ERROR = ("stop", "continue")
DURATION = re.compile(r"\d{1,9}(?:ms|s|min|h)?")
MAX_NAME = 63
RESERVED = ("public", "none", "slipway", "information_schema")
MAX_WORKERS = 16


@dataclass(frozen=True, slots=True)
class Tenant:
    """One tenant as it shall be."""

    slug: str
    subdomain: str
    schema: str
    role: str
    custom_domain: str | None = None
    plan: str | None = None
    state: str = "present"
    login: bool = False
    password: str | None = field(default=None, repr=False)
    update_password: bool = False
    connection_limit: int = -1
    statement_timeout: str | None = None
    columns: Mapping[str, Any] = field(default_factory=dict)
    force: bool = False
    export: bool = True


@dataclass(frozen=True)
class Pooler:
    """The role as which a pooler asks who may log in."""

    role: str
    password: str = field(repr=False)


@dataclass(frozen=True)
class Request:
    """Everything that one run is told."""

    connection: PostgresOptions
    tenants: tuple[Tenant, ...]
    templates: tuple[Template, ...] = ()
    source: str = "inventory"
    registry_create: bool = False
    application_roles: tuple[str, ...] = ()
    application_grant: str = "grants"
    shared_schemas: tuple[str, ...] = ("public",)
    schema_prefix: str = "tenant_"
    role_prefix: str = "tenant_"
    exclusive: bool = False
    on_error: str = "continue"
    workers: int = 2
    canary: str = ""
    lock_timeout: str = "5s"
    lock_wait: int = 300
    pooler: Pooler | None = None


def parse(params: Mapping[str, Any]) -> Request:
    """Read a request (the parameters of module postgres_tenant), or say in a sentence what is wrong in it."""
    request = Request(
        connection=PostgresOptions.from_params(params),
        tenants=(),
        templates=parse_all(params.get("templates"), params.get("template_dir")),
        source=_choice("source", params.get("source") or "inventory", SOURCES),
        registry_create=bool(params.get("registry_create")),
        application_roles=_roles(params.get("application_roles")),
        application_grant=_choice("application_grant", params.get("application_grant") or "grants", APPLICATION_GRANTS),
        shared_schemas=_schemas(params.get("shared_schemas")),
        schema_prefix=validate.identifier(params.get("schema_prefix") or "tenant_"),
        role_prefix=validate.identifier(params.get("role_prefix") or "tenant_"),
        exclusive=bool(params.get("exclusive")),
        on_error=_choice("on_error", params.get("on_error") or "continue", ON_ERROR),
        workers=_workers(params.get("workers")),
        canary=validate.slug(str(params["canary"])) if params.get("canary") else "",
        lock_timeout=_duration("lock_timeout", params.get("lock_timeout") or "5s"),
        lock_wait=int(params.get("lock_wait") or 300),
        pooler=_pooler(params.get("pooler")),
    )
    tenants = tuple(tenant(entry, request) for entry in _entries(params))
    refuse_duplicates(tenants)
    if request.canary and request.source == "inventory":
        require_canary(request.canary, [tenant.slug for tenant in tenants])
    return _with_tenants(request, tenants)


def tenant(entry: Mapping[str, Any], request: Request) -> Tenant:
    """Check one entry of the list."""
    slug = validate.slug(_text(entry, "slug") or "")
    subdomain = _text(entry, "subdomain") or slug.replace("_", "-")
    if not validate.LABEL.fullmatch(subdomain):
        raise SlipwayError(
            f"The subdomain {subdomain!r} of tenant {slug} is not one DNS label.",
            hint="Use lower-case letters, digits and hyphens, without a dot.",
        )
    schema = _name(request.schema_prefix + slug, slug)
    return Tenant(
        slug=slug,
        subdomain=subdomain,
        schema=schema,
        role=_name(request.role_prefix + slug, slug),
        custom_domain=_custom_domain(entry),
        plan=_text(entry, "plan"),
        state=_choice(f"state of tenant {slug}", entry.get("state") or "present", STATES),
        login=bool(entry.get("login")),
        password=_text(entry, "password"),
        update_password=bool(entry.get("update_password")),
        connection_limit=_limit(slug, entry.get("connection_limit")),
        statement_timeout=_optional_duration(slug, entry),
        columns=_columns(slug, entry.get("columns")),
        force=bool(entry.get("force")),
        export=entry.get("export") is not False,
    )


def require_canary(canary: str, slugs: Sequence[str]) -> None:
    """A canary that is not among the tenants would protect nobody."""
    if canary not in slugs:
        raise SlipwayError(
            f"The canary {canary} is not among the tenants.", hint="Name a tenant of this run, or leave canary out."
        )


def refuse_duplicates(tenants: Sequence[Tenant]) -> None:
    """Two entries that claim the same name would overwrite each other run after run."""
    for what, values in (
        ("slug", [t.slug for t in tenants]),
        ("subdomain", [t.subdomain for t in tenants]),
        ("custom domain", [t.custom_domain for t in tenants if t.custom_domain]),
    ):
        twice = sorted(value for value, count in Counter(values).items() if count > 1)
        if twice:
            raise SlipwayError(
                f"The {what} {twice[0]!r} is in the list of tenants more than once.",
                hint="Give every tenant its own.",
            )


def _entries(params: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    entries = list(params.get("tenants") or [])
    if params.get("name"):
        single = {key: params[key] for key in SINGLE_KEYS if params.get(key) is not None}
        entries.append({**single, "slug": params["name"]})
    defaults = {key: params[key] for key in ("force", "export") if params.get(key) is not None}
    merged: list[Mapping[str, Any]] = []
    for entry in entries:
        if not isinstance(entry, Mapping):
            raise SlipwayError(
                f"A tenant is given as {entry!r}, which is not a dictionary.",
                hint="Write each tenant like: {slug: alpha, custom_domain: shop.example.org}",
            )
        given = {key: value for key, value in entry.items() if value is not None}
        merged.append({**defaults, **given})
    return merged


SINGLE_KEYS = (
    "subdomain",
    "custom_domain",
    "plan",
    "state",
    "login",
    "password",
    "update_password",
    "connection_limit",
    "statement_timeout",
    "columns",
)


def _with_tenants(request: Request, tenants: tuple[Tenant, ...]) -> Request:
    return Request(**{**request.__dict__, "tenants": tenants})


def _text(entry: Mapping[str, Any], key: str) -> str | None:
    value = entry.get(key)
    if value is None or value == "":
        return None
    if not isinstance(value, (str, int)) or isinstance(value, bool):
        raise SlipwayError(f"The {key} {value!r} of a tenant is not a text.", hint="Put it in quotes.")
    return _storable(key, str(value))


def _storable(what: str, value: str) -> str:
    """PostgreSQL keeps every text but one with a NUL, or with half of a character. What it was may be a secret."""
    if "\0" in value or any("\ud800" <= letter <= "\udfff" for letter in value):
        raise SlipwayError(
            f"The {what} of a tenant holds a character that PostgreSQL cannot keep.",
            hint="Take out the NUL, or the broken Unicode.",
        )
    return value


def _custom_domain(entry: Mapping[str, Any]) -> str | None:
    """None leaves the registry's value alone; an empty text clears it."""
    if entry.get("custom_domain") == "":
        return ""
    text = _text(entry, "custom_domain")
    return None if text is None else validate.domain(text)


def _name(name: str, slug: str) -> str:
    if len(name.encode()) > MAX_NAME:
        raise SlipwayError(
            f"The name {name!r} made for tenant {slug} is longer than the 63 bytes that PostgreSQL keeps.",
            hint="Shorten the slug, schema_prefix or role_prefix.",
        )
    if name.startswith("pg_") or name in RESERVED:
        raise SlipwayError(
            f"The name {name!r} made for tenant {slug} is reserved.",
            hint="Use another schema_prefix or role_prefix.",
        )
    return name


def _choice(what: str, value: Any, allowed: Sequence[str]) -> str:
    if value not in allowed:
        raise SlipwayError(f"The {what} is {value!r}.", hint=f"Use one of: {', '.join(allowed)}.")
    return str(value)


def _pooler(given: Mapping[str, Any] | None) -> Pooler | None:
    if not given or not given.get("role"):
        return None
    if not given.get("password"):
        raise SlipwayError("The pooler's role has no password.", hint="Set tenants_pooler_password.")
    return Pooler(validate.identifier(str(given["role"])), str(given["password"]))


def _roles(value: Any) -> tuple[str, ...]:
    roles = tuple(dict.fromkeys(value or ()))
    for role in roles:
        plain = isinstance(role, str) and role and "\0" not in role and len(role.encode()) <= MAX_NAME
        if not plain or role.lower() == "public":
            raise SlipwayError(
                f"The application role {role!r} is not the name of a role.",
                hint="Give the database user that the application connects as.",
            )
    return roles


def _schemas(value: Any) -> tuple[str, ...]:
    return tuple(validate.identifier(schema) for schema in (("public",) if value is None else value))


def _duration(what: str, value: Any) -> str:
    text = str(value)
    if not DURATION.fullmatch(text):
        raise SlipwayError(f"The {what} {text!r} is not a duration.", hint="Write it like 500ms, 30s or 5min.")
    return text


def _optional_duration(slug: str, entry: Mapping[str, Any]) -> str | None:
    value = _text(entry, "statement_timeout")
    return None if value is None else _duration(f"statement_timeout of tenant {slug}", value)


def _limit(slug: str, value: Any) -> int:
    limit = -1 if value is None else value
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < -1:
        raise SlipwayError(
            f"The connection_limit {value!r} of tenant {slug} is not a number of connections.",
            hint="Use a whole number, or -1 for no limit.",
        )
    return limit


def _workers(value: Any) -> int:
    workers = 2 if value is None else value
    if isinstance(workers, bool) or not isinstance(workers, int) or not 1 <= workers <= MAX_WORKERS:
        raise SlipwayError(
            f"The number of workers is {value!r}.",
            hint=f"Use 1 to {MAX_WORKERS}: each takes one connection, and one core of the server.",
        )
    return workers


def _columns(slug: str, value: Any) -> dict[str, Any]:
    columns = dict(value or {})
    for column, content in columns.items():
        validate.identifier(str(column))
        if isinstance(content, str):
            _storable(f"column {column}", content)
        if column in ("id", "subdomain", "custom_domain", "plan_id", "created_at"):
            raise SlipwayError(
                f"The column {column} of tenant {slug} is set by Slipway itself.",
                hint="Leave it out of `columns`.",
            )
    return columns
