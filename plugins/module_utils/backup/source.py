# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""PostgreSQL's own programs as commands: inside the database's container, or on this host for an external server.

Only builds argument lists and environments. Names, passwords and addresses go through the environment: nothing of them
is in `ps`, and libpq never takes a database's name for a connection string.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..common.errors import SlipwayError
from ..common.process import run
from ..postgres.options import PostgresOptions

# With thousands of schemas the query for the dependencies of materialised views gets a quadratic plan, and the
# catalogue is sorted on disk.
DUMP_OPTIONS = "-c enable_mergejoin=off -c work_mem=64MB"
# Compiling the queries then takes longer than they do. Servers before 11 refuse a session that names it.
NO_COMPILING = "-c jit=off"
FIRST_COMPILING = 110000
# Nothing of a restore counts before its last steps, and their commits make all earlier ones durable as well: only for
# those the server has to wait for its disk.
RESTORE_OPTIONS = "-c statement_timeout=0 -c synchronous_commit=off"
LOCK_WAIT_MS = 300_000
# What runs inside a container is named by these, not by the `docker` that starts it there.
PROGRAMS = ("pg_dump", "pg_dumpall", "pg_restore", "pg_basebackup", "psql", "redis-cli", "redis-check-rdb")
CLIENT_ROOT = Path("/usr/lib/postgresql")


@dataclass(frozen=True)
class Command:
    """What to run; `env` holds what must not be seen in `ps`, `accepted` are the statuses of a good end."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    accepted: frozenset[int] = frozenset({0})

    @property
    def program(self) -> str:
        """The program as a sentence names it."""
        names = {Path(word).name for word in self.argv}
        known = [name for name in PROGRAMS if name in names]
        return known[0] if known else Path(self.argv[0]).name


@dataclass(frozen=True)
class Client:
    """Builds commands for one server. `directory` is where the programs of a local client lie ("" = PATH)."""

    options: PostgresOptions
    application: str = "slipway backup"
    directory: str = ""

    def command(self, program: str, *arguments: str, database: str = "", pgoptions: str = "") -> Command:
        env = self._environment(database or self.options.database, pgoptions)
        if self.options.container:
            names = [word for name in sorted(env) for word in ("-e", name)]
            prefix = ("docker", "exec", "-i", *names, self.options.container)
            return Command((*prefix, program, *arguments), env)
        path = f"{self.directory}/{program}" if self.directory else program
        return Command((path, *arguments), env)

    def _environment(self, database: str, pgoptions: str) -> dict[str, str]:
        options = self.options
        env = {
            "PGUSER": options.user,
            "PGDATABASE": database,
            "PGPASSWORD": options.password,
            "PGAPPNAME": self.application,
            "PGOPTIONS": pgoptions,
            # The programs' messages are looked for in English.
            "LC_ALL": "C",
        }
        if not options.container:
            env["PGHOST"] = options.unix_socket or options.host
            env["PGPORT"] = str(options.port)
            env["PGSSLMODE"] = options.ssl_mode
            env["PGSSLROOTCERT"] = options.ca_cert
            env["PGCONNECT_TIMEOUT"] = str(options.connect_timeout)
        return {name: value for name, value in env.items() if value}

    def dump(self, snapshot: str, server_number: int, schema: str = "") -> Command:
        """The whole database, or one schema of it."""
        only = [f"--schema={pattern(schema)}"] if schema else []
        more = f" {NO_COMPILING}" if server_number >= FIRST_COMPILING else ""
        return self.command(
            "pg_dump",
            "--format=custom",
            "--compress=0",
            f"--snapshot={snapshot}",
            f"--lock-wait-timeout={LOCK_WAIT_MS}",
            "--no-password",
            *only,
            pgoptions=DUMP_OPTIONS + more,
        )

    def globals(self, *, passwords: bool) -> Command:
        """Roles and their memberships. Password hashes only where the backup is encrypted."""
        hidden = [] if passwords else ["--no-role-passwords"]
        return self.command(
            "pg_dumpall", "--globals-only", "--no-password", f"--database={self.options.database}", *hidden
        )

    def parse(self) -> Command:
        """Reads an archive from its first byte to its last and keeps nothing."""
        return self.command("pg_restore", "--file=/dev/null")

    def restore(self, database: str) -> Command:
        return self.command(
            "pg_restore", "--exit-on-error", "--no-password", f"--dbname={database}", pgoptions=RESTORE_OPTIONS
        )

    def script(self, schema: str) -> Command:
        """The SQL of an archive's schema without owners and grants: whoever runs it owns what it makes.

        The schema itself is not in it. The name is taken as it is, not as a pattern.
        """
        return self.command("pg_restore", "--file=-", "--no-owner", "--no-privileges", f"--schema={schema}")

    def copies(self, database: str, selection: Selection) -> list[Command]:
        """The chosen schemas and tables of a database as SQL, with their indexes, constraints, triggers and grants."""
        return [
            self.command("pg_dump", "--format=plain", "--no-password", *arguments, database=database)
            for arguments in selection.arguments()
        ]

    def sql(self, database: str) -> Command:
        return self.command(
            "psql", "--no-psqlrc", "--quiet", "--no-password", "--set=ON_ERROR_STOP=1", "--file=-", database=database
        )

    def version(self) -> str:
        """The client's own version, like 15.18."""
        command = self.command("pg_dump", "--version")
        text = run(command.argv, timeout=60, env=command.env).stdout
        return first_version(text)


def first_version(text: str) -> str:
    found = re.search(r"\d+(\.\d+)*", text)
    if not found:
        raise SlipwayError(f"{text.strip()!r} has no version number in it.")
    return found.group(0)


def major(version: str) -> str:
    """17 of 17.2, and of 17beta1."""
    found = re.match(r"\d+", version)
    return found.group(0) if found else ""


@dataclass(frozen=True)
class Selection:
    """What of a backup is wanted; empty means all of it. Tables are written schema.table."""

    schemas: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.schemas or self.tables)

    def arguments(self) -> list[list[str]]:
        """For one pg_dump each: beside a --table it ignores every --schema."""
        schemas = [f"--schema={pattern(name)}" for name in self.schemas]
        tables = [f"--table={'.'.join(pattern(part) for part in split(name))}" for name in self.tables]
        return [chosen for chosen in (schemas, tables) if chosen]

    def describe(self) -> str:
        parts = [f"schema {name}" for name in self.schemas] + [f"table {name}" for name in self.tables]
        return ", ".join(parts) or "everything"


def split(table: str) -> tuple[str, str]:
    schema, dot, name = table.partition(".")
    if not dot or not schema or not name or "." in name:
        raise SlipwayError(f"The table {table!r} cannot be chosen.", hint="Write it like public.orders.")
    return schema, name


def pattern(name: str) -> str:
    """A name as pg_dump takes it literally: in quotes, nothing in it is a pattern."""
    return '"' + name.replace('"', '""') + '"'


def client_for(options: PostgresOptions, server_version: int, directory: str, application: str) -> Client:
    """The container's own client, or the oldest local one that is not older than the server (major versions)."""
    if options.container or directory:
        return Client(options, application, directory)
    major = server_version // 10000
    found = sorted(int(path.name) for path in CLIENT_ROOT.glob("*") if (path / "bin/pg_dump").exists())
    matching = [version for version in found if version >= major]
    if not matching:
        have = ", ".join(str(version) for version in found) or "none"
        raise SlipwayError(
            f"The server is PostgreSQL {major}, but the clients on this host are: {have}.",
            hint=f"Install one: apt-get install postgresql-client-{major} (from PostgreSQL's own repository "
            "if the distribution's is older).",
        )
    return Client(options, application, str(CLIENT_ROOT / str(matching[0]) / "bin"))
