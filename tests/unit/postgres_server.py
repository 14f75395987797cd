# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A real PostgreSQL server for tests, in a directory of its own. Import the fixtures into a conftest.py."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.slipway.vps.plugins.module_utils.postgres.connection import connect
from ansible_collections.slipway.vps.plugins.module_utils.postgres.options import PostgresOptions

SUPERUSER = "postgres"
PASSWORD = "superuser-secret"
# Durability costs time and proves nothing here. Passwords are checked, so that logging in as a tenant means something.
# Every test leaves a database, and nobody has to look after hundreds of them.
SETTINGS = (
    "fsync=off",
    "full_page_writes=off",
    "autovacuum=off",
    "jit=off",
    "shared_buffers=32MB",
    "max_connections=60",
    "max_locks_per_transaction=256",
)


def programs() -> Path | None:
    """Directory of the newest PostgreSQL server that Debian installed here."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
    return found[-1].parent if found else None


class PostgresServer:
    """A running server. Databases are cheap: every test takes a new one."""

    def __init__(self, directory: Path, bin_directory: Path) -> None:
        self.bin = bin_directory
        self.directory = directory
        self.data = directory / "data"
        self.port = _free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self._names = itertools.count(1)

    def initialise(self) -> None:
        password = self.directory / "password"
        password.write_text(PASSWORD)
        if os.geteuid() == 0:  # the server refuses to run as root
            self.directory.chmod(0o755)
            shutil.chown(self.directory, self.owner)
        command = [
            "initdb",
            "-D",
            self.data,
            "-U",
            SUPERUSER,
            "-A",
            "scram-sha-256",
            "--pwfile",
            password,
            "-N",
            "-E",
            "UTF8",
        ]
        subprocess.run(
            [str(self.bin / str(command[0])), *map(str, command[1:])], check=True, capture_output=True, **self._as()
        )

    def start(self, *settings: str) -> None:
        """With further settings, which win over the usual ones."""
        options = [word for setting in (*SETTINGS, *settings) for word in ("-c", setting)]
        command = [
            self.bin / "postgres",
            "-D",
            self.data,
            "-p",
            self.port,
            "-k",
            self.directory,
            "-h",
            "127.0.0.1",
            *options,
        ]
        with open(self.directory / "log", "ab") as log:
            self.process = subprocess.Popen([*map(str, command)], stdout=log, stderr=log, **self._as())
        end = time.monotonic() + 30
        while subprocess.run(
            [str(self.bin / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)], check=False
        ).returncode:
            assert time.monotonic() < end and self.process.poll() is None, self.log()
            time.sleep(0.05)

    def stop(self, number: int = signal.SIGTERM) -> None:
        if self.process is not None:
            self.process.send_signal(number)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.send_signal(3)  # SIGQUIT: immediate shutdown
                self.process.wait(20)
            self.process = None

    def log(self) -> str:
        return (self.directory / "log").read_text(errors="replace")

    def params(self, database: str = "postgres", **more: Any) -> dict[str, Any]:
        """The options of the modules, for this server."""
        return {
            "login_host": "127.0.0.1",
            "login_port": self.port,
            "login_user": SUPERUSER,
            "login_password": PASSWORD,
            "login_db": database,
            **more,
        }

    def connect(self, database: str = "postgres", **more: Any) -> Any:
        """A connection in autocommit mode."""
        connection = connect(PostgresOptions.from_params(self.params(database, **more)))
        connection.autocommit = True
        return connection

    def query(self, statement: str, database: str = "postgres", **more: Any) -> list[tuple[Any, ...]]:
        """Run one statement over a connection of its own."""
        connection = self.connect(database, **more)
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def new_database(self, name: str = "") -> str:
        name = name or f"test_{next(self._names)}"
        # Through the log it would be written twice.
        copied = " STRATEGY file_copy" if int(self.bin.parent.name) >= 15 else ""
        self.query(f'CREATE DATABASE "{name}"{copied}')
        return name

    @property
    def owner(self) -> str:
        try:
            return pwd.getpwnam("postgres").pw_name
        except KeyError:
            return "nobody"

    def _as(self) -> dict[str, Any]:
        if os.geteuid() != 0:
            return {}
        account = pwd.getpwnam(self.owner)
        return {"user": account.pw_uid, "group": account.pw_gid, "cwd": "/"}


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A server for the whole session of tests."""
    place = programs()
    if place is None:
        pytest.skip("no PostgreSQL server is installed here (Debian package postgresql)")
    # Not below pytest's own directory: every pytest that starts closes that one (0700), and the server, which runs
    # as a user of its own, would lose its data in the middle.
    with tempfile.TemporaryDirectory(prefix="slipway-postgres-") as directory:
        server = PostgresServer(Path(directory), place)
        server.initialise()
        server.start()
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture
def database(postgres: PostgresServer) -> str:
    """The name of an empty database."""
    return postgres.new_database()
