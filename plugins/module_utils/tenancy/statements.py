# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From actions to SQL. Every name and value goes through psycopg2.sql; nothing is pasted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from .plan import Action

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection
    from psycopg2.sql import Composable

Data = Mapping[str, Any]

# What GRANT ... IN SCHEMA calls the kinds; ROUTINES takes procedures along.
OBJECTS = {"TABLES": "ALL TABLES", "SEQUENCES": "ALL SEQUENCES", "FUNCTIONS": "ALL ROUTINES"}

DEFAULTS = "ALTER DEFAULT PRIVILEGES FOR ROLE {role} IN SCHEMA {schema}"
REGISTER = """
INSERT INTO slipway.tenants (slug, registry_id, schema_name, role_name, state)
VALUES ({slug}, (SELECT id::text FROM public.tenants WHERE subdomain = {subdomain}), {schema}, {role}, {state})
"""
END_SESSIONS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND usename = {role} AND pid <> pg_backend_pid()
"""
SET_STATE = "UPDATE slipway.tenants SET state = {state} WHERE slug = {slug}"
LINK = """
UPDATE slipway.tenants SET registry_id = (SELECT id::text FROM public.tenants WHERE subdomain = {subdomain})
WHERE slug = {slug}
"""
GRANT_OPTIONS = 160000  # the first version whose GRANT of a role takes WITH INHERIT, SET


class Composer:
    """Composes the statement of each action for one connection."""

    def __init__(self, connection: Connection) -> None:
        from psycopg2 import extensions, sql

        self.connection = connection
        self.sql = sql
        self.encrypt = extensions.encrypt_password
        self.composers: dict[str, Callable[[Data], Composable]] = {
            "row_insert": self._row_insert,
            "row_update": self._row_update,
            "row_delete": lambda d: self._values("DELETE FROM public.tenants WHERE id::text = {id}", d, "id"),
            "role_create": self._role_create,
            "role_powers": lambda d: self._template(
                "ALTER ROLE {role} NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS", {"role": d["role"]}
            ),
            "role_login": lambda d: self._template(
                "ALTER ROLE {role} " + ("LOGIN" if d["login"] else "NOLOGIN"), {"role": d["role"]}
            ),
            "role_limit": lambda d: self._template(
                "ALTER ROLE {role} CONNECTION LIMIT {limit}", {"role": d["role"]}, {"limit": d["limit"]}
            ),
            "role_password": lambda d: self._template(
                "ALTER ROLE {role} PASSWORD {verifier}",
                {"role": d["role"]},
                {"verifier": self._verifier(d["password"], d["role"])},
            ),
            "role_setting": self._role_setting,
            "sessions_end": lambda d: self._values(END_SESSIONS, d, "role"),
            "role_drop": self._role_drop,
            "member_grant": self._member_grant,
            "member_revoke": lambda d: self._names("REVOKE {role} FROM {member}", d, "role", "member"),
            "schema_create": lambda d: self._names("CREATE SCHEMA {schema} AUTHORIZATION {role}", d, "schema", "role"),
            "schema_owner": lambda d: self._names("ALTER SCHEMA {schema} OWNER TO {role}", d, "schema", "role"),
            "schema_drop": lambda d: self._names("DROP SCHEMA {schema} CASCADE", d, "schema"),
            "schema_grant": lambda d: self._to("GRANT USAGE ON SCHEMA {schema} TO {grantee}", d),
            "schema_revoke": lambda d: self._to("REVOKE {taken} ON SCHEMA {schema} FROM {grantee}", d),
            "default_revoke_public": lambda d: self._names(
                "ALTER DEFAULT PRIVILEGES FOR ROLE {role} REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC", d, "role"
            ),
            "default_grant": lambda d: self._to(f"{DEFAULTS} GRANT {{privileges}} ON {{kind}} TO {{grantee}}", d),
            "default_revoke": lambda d: self._to(f"{DEFAULTS} REVOKE {{taken}} ON {{kind}} FROM {{grantee}}", d),
            "objects_grant": lambda d: self._to("GRANT {privileges} ON {objects} IN SCHEMA {schema} TO {grantee}", d),
            "objects_revoke": lambda d: self._to("REVOKE {taken} ON {objects} IN SCHEMA {schema} FROM {grantee}", d),
            "index_drop": lambda d: self._names(
                "DROP INDEX CONCURRENTLY IF EXISTS {schema}.{index}", d, "schema", "index"
            ),
            "register": lambda d: self._values(REGISTER, d, "slug", "subdomain", "schema", "role", "state"),
            "set_state": lambda d: self._values(SET_STATE, d, "state", "slug"),
            "link": lambda d: self._values(LINK, d, "subdomain", "slug"),
            "unregister": lambda d: self._values("DELETE FROM slipway.tenants WHERE slug = {slug}", d, "slug"),
        }

    def compose(self, action: Action) -> Composable:
        return self.composers[action.kind](action.data)

    def join(self, statements: list[Composable]) -> Composable:
        """Many statements, one round trip."""
        return self.sql.SQL(";\n").join(statements)

    def literal(self, value: Any) -> Composable:
        return self.sql.Literal(value)

    def _template(
        self, text: str, names: Mapping[str, str] | None = None, values: Mapping[str, Any] | None = None
    ) -> Composable:
        parts: dict[str, Composable] = {key: self.sql.Identifier(name) for key, name in (names or {}).items()}
        parts.update({key: self.sql.Literal(value) for key, value in (values or {}).items()})
        return self.sql.SQL(text).format(**parts)

    def _names(self, text: str, data: Data, *keys: str) -> Composable:
        return self._template(text, {key: data[key] for key in keys})

    def _values(self, text: str, data: Data, *keys: str) -> Composable:
        return self._template(text, values={key: data[key] for key in keys})

    def _to(self, text: str, data: Data) -> Composable:
        """A GRANT or REVOKE; the empty grantee is PUBLIC."""
        parts: dict[str, Composable] = {
            "schema": self.sql.Identifier(data["schema"]),
            "taken": self.sql.SQL(", ".join(data.get("taken") or ("ALL",))),
            "grantee": self.sql.Identifier(data["grantee"]) if data["grantee"] else self.sql.SQL("PUBLIC"),
        }
        if "kind" in data:
            parts["role"] = self.sql.Identifier(data["role"])
            parts["kind"] = self.sql.SQL(data["kind"])
            parts["objects"] = self.sql.SQL(OBJECTS[data["kind"]])
            parts["privileges"] = self.sql.SQL(", ".join(data["privileges"]))
        return self.sql.SQL(text).format(**parts)

    def _row_insert(self, data: Data) -> Composable:
        row = data["row"]
        columns = [self.sql.Identifier(column) for column in row]
        values: list[Composable] = [self.sql.Literal(value) for value in row.values()]
        if data["now"]:
            columns.append(self.sql.Identifier("created_at"))
            values.append(self.sql.SQL("now()"))
        comma = self.sql.SQL(", ")
        return self.sql.SQL("INSERT INTO public.tenants ({columns}) VALUES ({values})").format(
            columns=comma.join(columns), values=comma.join(values)
        )

    def _row_update(self, data: Data) -> Composable:
        pairs = [
            self.sql.SQL("{} = {}").format(self.sql.Identifier(column), self.sql.Literal(value))
            for column, value in data["row"].items()
        ]
        return self.sql.SQL("UPDATE public.tenants SET {pairs} WHERE id::text = {id}").format(
            pairs=self.sql.SQL(", ").join(pairs), id=self.sql.Literal(data["id"])
        )

    def _role_create(self, data: Data) -> Composable:
        text = "CREATE ROLE {role} " + ("LOGIN" if data["login"] else "NOLOGIN")
        text += " NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION CONNECTION LIMIT {limit}"
        values: dict[str, Any] = {"limit": data["connection_limit"]}
        if data["password"]:
            text += " PASSWORD {verifier}"
            values["verifier"] = self._verifier(data["password"], data["role"])
        return self._template(text, {"role": data["role"]}, values)

    def _role_setting(self, data: Data) -> Composable:
        names = {"role": data["role"], "database": self.connection.info.dbname, "name": data["name"]}
        if data["value"] is None:
            return self._template("ALTER ROLE {role} IN DATABASE {database} RESET {name}", names)
        quote = self.sql.Identifier if data["name"] == "search_path" else self.sql.Literal
        value = self.sql.SQL(", ").join([quote(part) for part in data["value"]])
        head = self._template("ALTER ROLE {role} IN DATABASE {database} SET {name} = ", names)
        return head + value

    def _role_drop(self, data: Data) -> Composable:
        owned = "DROP OWNED BY {role} CASCADE"
        return self._names(owned if data["keep"] else f"{owned}; DROP ROLE {{role}}", data, "role")

    def _member_grant(self, data: Data) -> Composable:
        statement = self._names("GRANT {role} TO {member}", data, "role", "member")
        if self.connection.server_version >= GRANT_OPTIONS:
            return statement + self.sql.SQL(" WITH INHERIT TRUE, SET TRUE")
        return statement

    def _verifier(self, password: str, role: str) -> str:
        """Made here, so that neither the server's log nor pg_stat_statements ever sees the password."""
        return self.encrypt(password, role, scope=self.connection, algorithm="scram-sha-256")
