# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The database server as the archiving of its log sees it: its identity, its position and its replication slot."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from ...common import require
from ...common.errors import SlipwayError
from ...postgres import failure
from ...postgres.connection import connect
from ...postgres.options import PostgresOptions
from .options import WalOptions
from .segments import parse_lsn

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection

T = TypeVar("T")

APPLICATION = "slipway wal"
OLDEST_SERVER = 130000
LARGEST_SEGMENT = 64 * 1024 * 1024
UNLIMITED = "-1"
LOST = "lost"

IDENTITY = """
SELECT current_setting('server_version_num')::int, current_setting('server_version'),
       (SELECT system_identifier::text FROM pg_control_system()), pg_is_in_recovery(),
       current_setting('wal_level'), pg_size_bytes(current_setting('wal_segment_size'))
"""
# The name of the current file tells the timeline at once; the control file tells it after the next checkpoint.
TIMELINE = "SELECT substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)"
STATE = """
SELECT pg_current_wal_lsn()::text, extract(epoch FROM clock_timestamp())::float8,
       s.slot_name IS NOT NULL, coalesce(s.wal_status, ''), s.safe_wal_size, coalesce(s.active, false),
       s.restart_lsn::text
FROM (SELECT 1) one LEFT JOIN pg_replication_slots s ON s.slot_name = %s
"""
POSITION = "SELECT pg_current_wal_lsn()::text, clock_timestamp()"
BYTES = "SELECT coalesce(sum(pg_database_size(oid)), 0)::bigint FROM pg_database"
LIMIT = "SELECT setting FROM pg_settings WHERE name = 'max_slot_wal_keep_size'"
CREATE = "SELECT pg_create_physical_replication_slot(%s, true)"
DROP = "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = %s AND NOT active"
END_RECEIVER = "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = %s AND active"


@dataclass(frozen=True)
class Identity:
    """Which log this server writes."""

    system: str
    timeline: int
    segment_bytes: int
    version: str = ""

    @property
    def line(self) -> str:
        """The name of the folder of its segments."""
        return f"{self.system}-{self.timeline:08X}"


@dataclass(frozen=True)
class SlotState:
    """One look at the server: its position now, and what the slot has passed on."""

    current: int
    time: float
    exists: bool
    status: str
    safe_bytes: int | None
    active: bool
    restart: int | None

    @property
    def lost(self) -> bool:
        return self.exists and (self.status == LOST or self.restart is None)


class Server:
    """One connection, opened when it is needed and opened again when it broke."""

    def __init__(self, options: PostgresOptions, wal: WalOptions) -> None:
        self._options = options
        self._wal = wal
        self._connection: Connection | None = None
        self._limited = False

    def close(self) -> None:
        if self._connection is not None:
            with suppress(Exception):
                self._connection.close()
            self._connection = None

    def _ask(self, work: Callable[[Any], T]) -> T:
        psycopg2 = require.load("psycopg2", "python3-psycopg2")
        if self._connection is None:
            self._connection = connect(self._options, application=APPLICATION)
            self._connection.autocommit = True
        try:
            with self._connection.cursor() as cursor:
                return work(cursor)
        except psycopg2.Error as error:
            self.close()
            raise failure.sentence(error) from None

    def identity(self) -> Identity:
        """Which log it writes; a sentence if this one cannot be archived."""

        def ask(cursor: Any) -> Identity:
            cursor.execute(IDENTITY)
            number, version, system, recovering, level, size = cursor.fetchone()
            _refuse(number, version, recovering, level, size)
            cursor.execute(TIMELINE)
            return Identity(system, int(cursor.fetchone()[0], 16), int(size), version)

        return self._ask(ask)

    def state(self) -> SlotState:
        def ask(cursor: Any) -> SlotState:
            cursor.execute(STATE, [self._wal.slot])
            current, now, exists, status, safe, active, restart = cursor.fetchone()
            return SlotState(
                parse_lsn(current), now, exists, status, safe, active, parse_lsn(restart) if restart else None
            )

        return self._ask(ask)

    def position(self) -> tuple[int, Any]:
        """Where the log is, and the server's own time."""

        def ask(cursor: Any) -> tuple[int, Any]:
            cursor.execute(POSITION)
            lsn, now = cursor.fetchone()
            return parse_lsn(lsn), now

        return self._ask(ask)

    def bytes(self) -> int:
        """The size of all databases."""

        def ask(cursor: Any) -> int:
            cursor.execute(BYTES)
            return int(cursor.fetchone()[0])

        return self._ask(ask)

    def limit_slots(self) -> bool:
        """See to it that no slot can fill the disk. A limit that somebody set is left as it is."""

        def ask(cursor: Any) -> bool:
            cursor.execute(LIMIT)
            if cursor.fetchone()[0] != UNLIMITED:
                self._limited = False
                return False
            if self._limited:
                raise SlipwayError("it stays unlimited, as on the server's command line.")
            sql = require.load("psycopg2.sql", "python3-psycopg2")
            value = sql.Literal(f"{self._wal.keep_bytes // (1024 * 1024)}MB")
            cursor.execute(sql.SQL("ALTER SYSTEM SET max_slot_wal_keep_size = {}").format(value))
            cursor.execute("SELECT pg_reload_conf()")
            self._limited = True
            return True

        try:
            return self._ask(ask)
        except SlipwayError as error:
            raise SlipwayError(
                f"The server keeps its log for a replication slot without any limit, and it cannot be set: {error}",
                hint="Set max_slot_wal_keep_size=4GB in the server's configuration, or let its superuser do it.",
            ) from None

    def create_slot(self) -> None:
        """It holds the log from now on."""
        try:
            self._ask(lambda cursor: cursor.execute(CREATE, [self._wal.slot]))
        except SlipwayError as error:
            if error.details.get("sqlstate") == "42710":  # somebody was quicker
                return
            if error.details.get("sqlstate") == "42501":
                raise SlipwayError(
                    f"The user {self._options.user} may not make a replication slot.",
                    hint=f"As a superuser: ALTER ROLE {self._options.user} REPLICATION",
                ) from None
            if error.details.get("sqlstate") == "53400":
                raise SlipwayError(
                    "All replication slots of the server are in use.",
                    hint="Drop one that nobody needs (SELECT * FROM pg_replication_slots), or raise "
                    "max_replication_slots and restart the server.",
                ) from None
            raise

    def drop_slot(self) -> None:
        def ask(cursor: Any) -> None:
            cursor.execute(END_RECEIVER, [self._wal.slot])
            cursor.execute(DROP, [self._wal.slot])

        self._ask(ask)


def _refuse(number: int, version: str, recovering: bool, level: str, size: int) -> None:
    if number < OLDEST_SERVER:
        raise SlipwayError(
            f"The server is PostgreSQL {version}: before 13 nothing limits what a replication slot keeps.",
            hint="Upgrade it with playbooks/data_services.yml, or set backup_wal_enabled to false.",
        )
    if recovering:
        raise SlipwayError(
            "The server is in recovery: it writes no log of its own.",
            hint="Archive the log of the primary, or wait until this one is promoted.",
        )
    if level == "minimal":
        raise SlipwayError(
            "The server's wal_level is minimal: its log has not what a restore needs.",
            hint="Set wal_level to replica (which is the default) and restart the server.",
        )
    if size > LARGEST_SEGMENT:
        raise SlipwayError(
            f"The segments of the server's log have {size} bytes; they are shipped up to {LARGEST_SEGMENT}.",
            hint="Make the cluster with a smaller --wal-segsize; 16 MB is the default.",
        )
