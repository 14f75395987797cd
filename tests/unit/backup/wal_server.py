# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A database as a Compose stack has it, a container of an unmodified image, with its log's shipper as a process."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
import subprocess
import threading
import time
from dataclasses import replace
from datetime import datetime

from ansible_collections.slipway.vps.plugins.module_utils.backup import spec
from ansible_collections.slipway.vps.plugins.module_utils.backup.retention import Policy
from ansible_collections.slipway.vps.plugins.module_utils.backup.wal import commands, restore, status
from ansible_collections.slipway.vps.plugins.module_utils.backup.wal.options import KIND, WalOptions
from ansible_collections.slipway.vps.plugins.module_utils.backup.wal.receiver import Receiver
from ansible_collections.slipway.vps.plugins.module_utils.backup.wal.shipper import Shipper
from ansible_collections.slipway.vps.plugins.module_utils.common.events import Emitter
from ansible_collections.slipway.vps.plugins.module_utils.postgres.connection import connect
from ansible_collections.slipway.vps.plugins.module_utils.postgres.options import PostgresOptions

USER = "shop"
PASSWORD = "shop:secret\\"
STAND_IN = "slipway-lab/postgres-"


def docker(*words, check=True):
    done = subprocess.run(["docker", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0 or not check, done.stderr
    return done.stdout.strip()


def images():
    """The lab's stand-ins for the public image, oldest first, by major version."""
    try:
        listed = docker("images", "--format", "{{.Repository}}:{{.Tag}}", check=False)
    except FileNotFoundError:
        return {}
    found = {}
    for name in listed.splitlines():
        major = name.removeprefix(STAND_IN).partition(":")[0]
        if name.startswith(STAND_IN) and major.isdigit():
            found.setdefault(int(major), name)
    return dict(sorted(found.items()))


class Database:
    """One container with its data in a named volume."""

    def __init__(self, name, image):
        self.name = name
        self.image = image
        self.volume = f"{name}-files"

    def start(self, *arguments):
        docker(
            *["run", "--detach", "--name", self.name, "--volume", f"{self.volume}:/var/lib/postgresql/data"],
            *["--env", f"POSTGRES_USER={USER}", "--env", f"POSTGRES_PASSWORD={PASSWORD}", self.image],
            *(["postgres", *arguments] if arguments else []),
        )
        self.wait()

    def wait(self):
        end = time.monotonic() + 60
        while True:
            try:
                self.query("SELECT 1")
                return
            except Exception:
                assert time.monotonic() < end, docker("logs", self.name, check=False)
                time.sleep(0.3)

    def options(self, container=""):
        return PostgresOptions(user=USER, password=PASSWORD, database=USER, container=container or self.name)

    def connect(self):
        connection = connect(self.options())
        connection.autocommit = True
        return connection

    def query(self, statement):
        connection = self.connect()
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def in_container(self, script):
        docker("exec", "--user", "postgres", self.name, "bash", "-c", script)

    def remove(self):
        docker("rm", "--force", "--volumes", self.name, check=False)
        docker("volume", "rm", "--force", self.volume, check=False)


class Stack:
    """The stack's configuration, and what ships its log."""

    def __init__(self, database, s3_options, name):
        self.database = database
        self.spec = spec.Spec(
            stack=name,
            kind=KIND,
            settings={"ship_seconds": 1},
            postgres=database.options(),
            s3=s3_options,
            part_bytes=spec.SMALLEST_PART,
            lock_wait=0.5,
            keep_s3=Policy(days=7),
        )
        self.process = None
        self.bases_wanted = []

    def but(self, **more):
        self.spec = replace(self.spec, **more)
        return self

    @property
    def wal(self):
        return WalOptions.from_dict(self.spec.settings)

    def shipper(self):
        """In this process: each `turn` is one round."""
        return Shipper(self.spec, self.wal, Emitter.null(), self.bases_wanted.append)

    def ship(self):
        """As a process of its own, to be killed."""
        self.process = multiprocessing.get_context("fork").Process(target=self._ship, daemon=True)
        self.process.start()

    def _ship(self):
        Shipper(self.spec, self.wal, Emitter.null(), lambda reason: None).run(threading.Event())

    def kill(self):
        if self.process is not None:
            os.kill(self.process.pid, signal.SIGKILL)
            self.process.join()
            self.process = None

    def status(self):
        return status.read(self.spec.stack)

    def until(self, condition, seconds=40):
        """Wait for a state of the shipper, as the status file tells it."""
        end = time.monotonic() + seconds
        while not condition(self.status()):
            assert time.monotonic() < end, self.status()
            time.sleep(0.2)
        return self.status()

    def shipped(self):
        """Wait until everything that is committed by now is in the bucket."""
        now = time.time()
        return self.until(lambda known: known.get("covered") and moment(known["covered"]) > now)

    def base(self):
        return commands.make_base(self.spec, Emitter.null(), read_back=True)

    def receiver(self, directory):
        return Receiver(self.spec, self.wal, directory)

    def remove(self):
        self.kill()
        docker("rm", "--force", "--volumes", f"slipway-wal-{self.spec.stack}", check=False)


def moment(text):
    return datetime.fromisoformat(text).timestamp()


def restored(stack, **request):
    return restore.run(stack.spec, restore.Request.from_dict(request), Emitter.null())["restore"]


def ask(result, statement):
    """In the recovered server, over its own socket: it is on no network."""
    return docker("exec", result["container"], "psql", "-XAt", "-U", USER, "-c", statement)


class Load(threading.Thread):
    """Commits a row every few milliseconds until the server is gone; knows when each commit was confirmed."""

    def __init__(self, database):
        super().__init__(daemon=True)
        self.database = database
        self.confirmed = []
        self.stopped = threading.Event()

    def run(self):
        connection = self.database.connect()
        with connection.cursor() as cursor:
            for number in itertools.count(1):
                if self.stopped.is_set():
                    return
                try:
                    cursor.execute("INSERT INTO beats VALUES (%s, repeat(md5(%s::text), 20))", [number, number])
                except Exception:
                    return
                self.confirmed.append((number, time.time()))
                time.sleep(0.005)
