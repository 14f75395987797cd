# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import select
import time
from typing import TYPE_CHECKING, Any, ClassVar

from ...common import require
from ...common.errors import SlipwayError
from ...postgres.connection import explain, start
from ...postgres.connection import resolve as located
from ...postgres.failure import sentence
from ...postgres.options import DEFAULT_PORT, SSL_MODES, PostgresOptions
from .. import replication
from ..context import Context, resolve
from ..option import Option
from ..result import Outcome, fail, ok
from .base import ProbeType

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection

# How long it takes at most to notice that the run is over.
LOOK_SECONDS = 0.2


class Postgres(ProbeType):
    name = "postgres"
    summary = "PostgreSQL lets a user in and answers a query, in a read-only transaction; or its standby is not behind."
    target = (
        "a host name or IP address, unless O(probes[].login_container) or O(probes[].login_unix_socket) says where."
    )
    target_required = False
    options: ClassVar[dict[str, Option]] = {
        "login_container": Option(
            "str", "Name of a container on the machine that runs the probe; its network address is used."
        ),
        "login_unix_socket": Option("str", "Directory of the server's Unix socket."),
        "login_port": Option("int", f"Port. The default is {DEFAULT_PORT} for PostgreSQL and 6379 for Redis."),
        "login_user": Option(
            "str", "User. The default for PostgreSQL is V(postgres); Redis needs one only with access control lists."
        ),
        "login_password": Option("str", "Password.", secret=True),
        "login_db": Option(
            "str", "Database: a name for PostgreSQL (default V(postgres)), a number for Redis (default V(0))."
        ),
        "ssl_mode": Option("str", "How TLS is used, as libpq defines it.", choices=SSL_MODES, default="prefer"),
        "ca_cert": Option("str", "CA file for O(probes[].ssl_mode=verify-full), on the machine that runs the probe."),
        "query": Option("str", "Query to run.", default="SELECT 1"),
        "expected": Option("str", "Text that the first column of the first row must be."),
        "lag_warn_seconds": Option(
            "float",
            "Ask a standby, or a primary about all of its standbys, how far behind the replication is, instead of a "
            "query; this many seconds are a warning. A primary tells this to members of C(pg_monitor).",
        ),
        "lag_fail_seconds": Option("float", "The same; this many seconds are a failure."),
    }

    def connection_options(self) -> PostgresOptions:
        return PostgresOptions.from_params({**self.probe.options, "login_host": self.probe.target})

    @property
    def lag(self) -> bool:
        return self.option("lag_warn_seconds") is not None or self.option("lag_fail_seconds") is not None

    def check(self) -> None:
        if self.lag and (self.option("expected") is not None or self.option("query") != self.options["query"].default):
            raise SlipwayError("It has a query and a limit of the replication's lag.", hint="Make two probes of it.")

    def shown_target(self) -> str:
        return self.connection_options().place()

    def expected(self) -> str:
        if self.lag:
            limit = self.option("lag_fail_seconds") or self.option("lag_warn_seconds")
            return f"replication under {limit:g} s behind"
        value = self.option("expected")
        return "an answer" if value is None else f"the value {self.excerpt(value)}"

    def run(self, context: Context) -> Outcome:
        psycopg2 = require.load("psycopg2", "python3-psycopg2")
        options = located(self.connection_options())
        found = _addresses(options)
        connection = start(options, found, application="slipway probe")
        try:
            self._connect(context, connection, options)
            return self._ask(context, connection)
        except psycopg2.Error as error:
            raise sentence(error) from error
        finally:
            connection.close()

    def _connect(self, context: Context, connection: Connection, options: PostgresOptions) -> None:
        psycopg2 = require.load("psycopg2", "python3-psycopg2")
        try:
            wait(context, connection, min(context.connect_timeout, context.remaining()))
        except psycopg2.OperationalError as error:
            raise explain(options, str(error)) from None

    def _ask(self, context: Context, connection: Connection) -> Outcome:
        with connection.cursor() as cursor:
            for statement, values in (
                ("BEGIN READ ONLY", None),
                ("SET LOCAL statement_timeout = %s", (max(1, int(context.remaining() * 1000)),)),
                (replication.QUERY if self.lag else self.option("query"), None),
            ):
                cursor.execute(statement, values)
                wait(context, connection, context.remaining())
            row = cursor.fetchone() if cursor.description else None
        version = _version(connection.server_version)
        if self.lag and row:
            return replication.judge(row, self.option("lag_warn_seconds"), self.option("lag_fail_seconds"), version)
        return self._judge(row, server_version=version)

    def _judge(self, row: Any, **observed: Any) -> Outcome:
        seen = None if not row else str(row[0])
        expected = self.option("expected")
        if expected is not None and seen != expected:
            return fail(
                f"the query gave {'no row' if seen is None else repr(seen)} instead of {expected!r}", **observed
            )
        return ok(f"PostgreSQL {observed['server_version']} answers", **observed)


def _addresses(options: PostgresOptions) -> list[str]:
    if options.unix_socket or not options.host:
        return []
    return [str(address[0]) for _family, address in resolve(options.host)]


def _version(number: int) -> str:
    return f"{number // 10000}.{number % 10000}"


def wait(context: Context, connection: Connection, seconds: float) -> None:
    """Until the server has answered. libpq's own time limit counts whole seconds, and restarts with every address."""
    extensions = require.load("psycopg2.extensions", "python3-psycopg2")
    end = time.monotonic() + seconds
    while (state := connection.poll()) != extensions.POLL_OK:
        left = min(end - time.monotonic(), context.remaining())
        if left <= 0:
            raise TimeoutError(f"no connection within {context.connect_timeout:g} s")
        poller = select.poll()
        poller.register(connection.fileno(), select.POLLOUT if state == extensions.POLL_WRITE else select.POLLIN)
        poller.poll(min(left, LOOK_SECONDS) * 1000)
