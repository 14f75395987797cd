# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Connecting to PostgreSQL, and turning what goes wrong into one sentence with the next step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from ..common import require
from ..common.errors import SlipwayError
from . import address
from .options import PostgresOptions

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection


class Cause(NamedTuple):
    """What libpq or the server said, what it means, and what to do."""

    marks: tuple[str, ...]
    meaning: str
    hint: str


# libpq gives no SQLSTATE for a connection that failed, so its words are all there is to go by.
CAUSES = (
    Cause(
        ("Connection refused", "No such file or directory"),
        "nothing listens there (connection refused)",
        "Check that the server runs and that host and port are right.",
    ),
    Cause(
        ("could not translate host name", "Name or service not known"),
        "the host name does not resolve",
        "Check login_host for a typing error, and the DNS.",
    ),
    Cause(
        ("timeout expired", "timed out", "No route to host", "Network is unreachable"),
        "no answer came in time",
        "Check the firewall between here and the server, or raise connect_timeout.",
    ),
    Cause(
        ("password authentication failed", "no password supplied", "Peer authentication failed", "SCRAM"),
        "the server refused the user or the password (authentication failed)",
        "Check login_user and login_password.",
    ),
    Cause(
        ("no pg_hba.conf entry", "pg_hba.conf rejects"),
        "pg_hba.conf has no line that lets this user in from here",
        "Add a line for this address, user and database to the server's pg_hba.conf.",
    ),
    Cause(
        ("is not permitted to log in",),
        "the role may not log in",
        "Use a role with LOGIN, or resume the tenant that it belongs to.",
    ),
    Cause(
        ("certificate verify failed", "does not match host name", "root certificate file"),
        "its TLS certificate could not be verified",
        "Give the issuing CA with ca_cert, and the name in the certificate as login_host.",
    ),
    Cause(
        ("does not support SSL",),
        "it does not speak TLS but ssl_mode demands it",
        "Turn TLS on at the server, or lower ssl_mode on a network that you trust.",
    ),
    Cause(
        ("too many clients", "remaining connection slots", "too many connections"),
        "all its connections are taken",
        "Wait, close idle clients, or raise max_connections.",
    ),
    Cause(
        ("starting up", "shutting down", "recovery mode", "not yet accepting connections"),
        "it is starting up or shutting down",
        "Wait until pg_isready says that it accepts connections.",
    ),
)


def connect(options: PostgresOptions, *, application: str = "slipway") -> Connection:
    """Open a connection, or raise one sentence that says where, as whom and why not. The caller closes it."""
    psycopg2 = require.load("psycopg2", "python3-psycopg2")
    where = resolve(options)
    try:
        connection: Connection = psycopg2.connect(**parameters(where, application))
    except psycopg2.OperationalError as error:
        raise explain(options, str(error)) from None
    return connection


def start(options: PostgresOptions, addresses: Sequence[str], *, application: str) -> Connection:
    """Begin to connect, for a caller with a time limit of its own: it polls until the connection is there.

    The caller has resolved the host to `addresses` (none for a Unix socket): libpq would do so while every other thread
    of this process waits.
    """
    psycopg2 = require.load("psycopg2", "python3-psycopg2")
    wanted = parameters(options, application)
    if addresses:
        # Each with the name, which the server's certificate must have.
        wanted.update(host=",".join([options.host] * len(addresses)), hostaddr=",".join(addresses))
    try:
        connection: Connection = psycopg2.connect(**wanted, async_=True)
    except psycopg2.OperationalError as error:
        raise explain(options, str(error)) from None
    return connection


def resolve(options: PostgresOptions) -> PostgresOptions:
    """The same options with a container's name replaced by its address."""
    if not options.container:
        return options
    return replace(options, host=address.of_container(options.container), container="", unix_socket="")


def parameters(options: PostgresOptions, application: str) -> dict[str, Any]:
    """What libpq is told; empty options are left to its own defaults."""
    wanted = {
        "host": options.unix_socket or options.host,
        "port": options.port,
        "user": options.user,
        "password": options.password,
        "dbname": options.database,
        "sslmode": options.ssl_mode,
        "sslrootcert": options.ca_cert,
        "connect_timeout": options.connect_timeout,
        "application_name": application,
    }
    return {name: value for name, value in wanted.items() if value != ""}


def explain(options: PostgresOptions, text: str) -> SlipwayError:
    """The sentence for a connection that failed. `text` is libpq's; a password never gets in."""
    who = f"user {options.user}, database {options.database}"
    place = f"PostgreSQL at {options.place()}"
    if f'database "{options.database}" does not exist' in text:
        return SlipwayError(
            f"{place} has no database named {options.database}.",
            hint="Create the database first, or correct login_db.",
        )
    if f'role "{options.user}" does not exist' in text:
        return SlipwayError(
            f"{place} has no role named {options.user} (authentication failed).",
            hint="Create the role first, or correct login_user.",
        )
    for cause in CAUSES:
        if any(mark in text for mark in cause.marks):
            return SlipwayError(f"{place} cannot be used ({who}): {cause.meaning}.", hint=cause.hint)
    return SlipwayError(
        f"{place} cannot be used ({who}): {_last_line(text, options.password)}.",
        hint="Look into the server's log.",
    )


def _last_line(text: str, secret: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    last = lines[-1] if lines else "no reason was given"
    return last.replace(secret, "********") if secret else last
