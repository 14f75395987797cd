# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ways to back up one database into one bucket and to bring it back: Slipway's, a script, pgBackRest."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path
from typing import Any, Protocol

import database
from place import BUCKET, DATABASE, ENDPOINT, KEY, PLACE, SCHEMAS_DATABASE, SECRET, WORK
from slipway_bench.accounting import Usage, measure

PYTHON = ("/usr/bin/python3", "-c")
SLIPWAY = (*PYTHON, "import sys; from slipway.agent.cli import main; sys.exit(main())")
# `restore` is a job of the module; there is no command for it.
RESTORE = (
    *PYTHON,
    "import sys; from slipway.backup import restore, spec; from slipway.common.events import Emitter;"
    "restore.run(spec.load(sys.argv[1]), restore.Request(database=sys.argv[2]), Emitter.null())",
)
RESTORED = "restored"
NAIVE_BACKUP = """set -euo pipefail
pg_dump "$1" | gzip > "$2/$1.sql.gz"
aws --endpoint-url "$AWS_ENDPOINT_URL" s3 cp --only-show-errors "$2/$1.sql.gz" "s3://backups/naive/$1.sql.gz"
"""
NAIVE_RESTORE = """set -euo pipefail
aws --endpoint-url "$AWS_ENDPOINT_URL" s3 cp --only-show-errors "s3://backups/naive/$1.sql.gz" "$2/$1.sql.gz"
createdb "$3"
gunzip --stdout "$2/$1.sql.gz" | psql --quiet --no-psqlrc --set ON_ERROR_STOP=1 --output /dev/null "$3"
"""
START_SECONDS = 120


class Way(Protocol):
    name: str

    def backup(self) -> Usage: ...

    def stored_bytes(self) -> int:
        """Of the newest backup, as the server lists it."""

    def restore(self) -> Usage:
        """Whatever was made is gone afterwards."""


class Bucket:
    def __init__(self, certificate: Path) -> None:
        import boto3

        self._client = boto3.client(
            "s3",
            endpoint_url=ENDPOINT,
            verify=str(certificate),
            aws_access_key_id=KEY,
            aws_secret_access_key=SECRET,
            region_name="us-east-1",
        )

    def make(self) -> None:
        end = time.monotonic() + START_SECONDS
        while True:
            try:
                if BUCKET not in [one["Name"] for one in self._client.list_buckets()["Buckets"]]:
                    self._client.create_bucket(Bucket=BUCKET)
                # The port answers before the volumes do.
                self._client.put_object(Bucket=BUCKET, Key="ready", Body=b"yes")
                return
            except Exception:
                if time.monotonic() > end:
                    raise
                time.sleep(0.5)

    def sizes(self, prefix: str) -> dict[str, int]:
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        return {one["Key"]: one["Size"] for page in pages for one in page.get("Contents", [])}

    def newest(self, prefix: str) -> int:
        """Bytes below the last folder of a prefix; names begin with their time."""
        sizes = self.sizes(prefix)
        last = max(key[len(prefix) :].split("/")[0] for key in sizes)
        return sum(size for key, size in sizes.items() if key.startswith(f"{prefix}{last}/"))


class Naive:
    """The script that people write: dump and compress into a file, then copy the file."""

    name = "naive"

    def __init__(self, bucket: Bucket, environment: dict[str, str]) -> None:
        self._bucket = bucket
        self._environment = environment
        self._folder = _folder("naive")

    def _run(self, script: str, *arguments: str) -> Usage:
        words = ("bash", "-c", script, "bash", DATABASE, str(self._folder), *arguments)
        return measure(words, env=self._environment)

    def backup(self) -> Usage:
        return self._run(NAIVE_BACKUP)

    def stored_bytes(self) -> int:
        return sum(self._bucket.sizes(f"naive/{DATABASE}").values())

    def restore(self) -> Usage:
        for one in self._folder.iterdir():
            one.unlink()
        try:
            return self._run(NAIVE_RESTORE, RESTORED)
        finally:
            drop(RESTORED)


class Slipway:
    name = "slipway"

    def __init__(self, bucket: Bucket, environment: dict[str, str]) -> None:
        self._bucket = bucket
        self._environment = environment

    def backup(self) -> Usage:
        return measure((*SLIPWAY, "backup", "run", DATABASE), env=self._environment)

    def stored_bytes(self) -> int:
        return self._bucket.newest(f"slipway/{DATABASE}/postgres/")

    def restore(self) -> Usage:
        try:
            return measure((*RESTORE, DATABASE, RESTORED), env=self._environment)
        finally:
            drop(RESTORED)


class PgBackRest:
    """Full backups of the server's files, by two processes."""

    name = "pgbackrest"

    def __init__(self, bucket: Bucket, environment: dict[str, str]) -> None:
        self._bucket = bucket
        self._environment = environment
        self._who: dict[str, Any] = {"user": "postgres", "group": "postgres", "cwd": "/"}
        self._run("stanza-create")

    def _run(self, *arguments: str) -> Usage:
        words = ("pgbackrest", "--config=/bench/pgbackrest.conf", "--stanza=main", *arguments)
        return measure(words, env=self._environment, **self._who)

    def backup(self) -> Usage:
        return self._run("--type=full", "backup")

    def stored_bytes(self) -> int:
        sizes = self._bucket.sizes("pgbackrest/backup/main/")
        labels = {key.split("/")[3] for key in sizes}
        last = max(label for label in labels if label[:1].isdigit() and label.endswith("F"))
        return sum(size for key, size in sizes.items() if f"/{last}/" in key)

    def restore(self) -> Usage:
        """Until the server answers."""
        data = _folder("restored")
        shutil.chown(data, "postgres", "postgres")
        data.chmod(0o700)
        fetched = self._run(
            *(f"--pg1-path={data}", "--type=immediate", "--target-action=promote", "--archive-mode=off", "restore")
        )
        try:
            return fetched + self._start(data)
        finally:
            shutil.rmtree(data)

    def _start(self, data: Path) -> Usage:
        began = time.monotonic()
        control = ["pg_ctl", "-D", str(data), "-s", "-w", "-t", str(START_SECONDS)]
        options = "-p 5499 -c listen_addresses= -c archive_mode=off -c hot_standby=off"
        subprocess.run(
            [*control, "-o", options, "-l", "/tmp/restored.log", "start"],
            check=True,
            env=self._environment,
            **self._who,
        )
        seconds = time.monotonic() - began
        subprocess.run([*control, "-m", "immediate", "stop"], check=True, env=self._environment, **self._who)
        return Usage(seconds, 0.0, 0, 0)


class Physical:
    """Slipway's base backup with its log. pg_basebackup runs in the server's container, so its processor time is not
    in the figures of this side."""

    name = "physical"

    def __init__(self, bucket: Bucket, environment: dict[str, str]) -> None:
        self._bucket = bucket
        self._environment = environment

    def backup(self) -> Usage:
        return measure((*SLIPWAY, "wal", "base", "physical", "--no-verify"), env=self._environment)

    def stored_bytes(self) -> int:
        return self._bucket.newest("slipway/physical/base/")

    def restore(self) -> Usage:
        """Until the server has replayed its log and answers."""
        try:
            return measure((*SLIPWAY, "wal", "restore", "physical"), env=self._environment)
        finally:
            forget_restored()


def forget_restored() -> None:
    for kind, remove in (("container", ("rm", "--force", "--volumes")), ("volume", ("volume", "rm", "--force"))):
        listing = ("ps", "--all") if kind == "container" else ("volume", "ls")
        found = subprocess.run(
            ["docker", *listing, "--quiet", "--filter", "name=^physical-restored"],
            check=True,
            capture_output=True,
            text=True,
        )
        for one in found.stdout.split():
            subprocess.run(["docker", *remove, one], check=True, capture_output=True)


def drop(name: str) -> None:
    with database.session(PLACE, "postgres") as cursor:
        cursor.execute(f"DROP DATABASE IF EXISTS {name}")
        # The next one begins with nothing to write for this one.
        cursor.execute("CHECKPOINT")


def dump_by_default(environment: dict[str, str]) -> Usage:
    """pg_dump of many schemas as its manual shows it."""
    path = _folder("schemas") / "dump"
    try:
        return measure(("pg_dump", "--format=custom", f"--file={path}", SCHEMAS_DATABASE), env=environment)
    finally:
        path.unlink(missing_ok=True)


def dump_by_slipway(environment: dict[str, str]) -> Usage:
    return measure((*SLIPWAY, "backup", "run", SCHEMAS_DATABASE), env=environment)


def _folder(name: str) -> Path:
    path = WORK / name
    path.mkdir(parents=True, exist_ok=True)
    return path
