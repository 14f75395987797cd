# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One connection whose statements are counted, so that `constant number of queries` can be checked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..postgres.connection import connect
from ..postgres.options import PostgresOptions

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection
    from psycopg2.sql import Composable

# Slipway's statements name every schema, so nothing that a tenant puts into a search path can stand in for a function.
# jit only costs time on short catalog queries.
SETTINGS = "SET search_path = pg_catalog; SET jit = off; SET client_min_messages = warning"


class Session:
    """Runs statements and counts them."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.queries = 0

    @classmethod
    @contextmanager
    def open(cls, options: PostgresOptions) -> Iterator[Session]:
        session = cls(connect(options, application="slipway tenants"))
        try:
            session.run(SETTINGS)
            session.commit()
            yield session
        finally:
            session.connection.close()

    def run(self, statement: str | Composable, values: Sequence[Any] | Mapping[str, Any] | None = None) -> None:
        with self.connection.cursor() as cursor:
            self.queries += 1
            cursor.execute(statement, values)

    def rows(self, statement: str | Composable, values: Sequence[Any] | None = None) -> list[tuple[Any, ...]]:
        with self.connection.cursor() as cursor:
            self.queries += 1
            cursor.execute(statement, values)
            return cursor.fetchall()

    def commit(self) -> None:
        self.connection.commit()

    def rollback(self) -> None:
        self.connection.rollback()

    def in_transaction(self) -> bool:
        """False after a template ended the transaction that it ran in."""
        status: int = self.connection.info.transaction_status
        return status == TRANSACTION_STATUS_INTRANS


TRANSACTION_STATUS_INTRANS = 2  # psycopg2.extensions.TRANSACTION_STATUS_INTRANS, without importing it at load time
