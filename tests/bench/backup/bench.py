# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Backups and restores: Slipway's beside the script that people write and beside pgBackRest.

Settings: SIZE_MB, REPETITIONS, SCHEMAS (0 leaves that case out), SUITE (trixie: PostgreSQL 17; bookworm: 15), WAYS.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import place
from slipway_bench import Result
from slipway_bench.result import ROOT

sys.path.insert(0, str(ROOT / "molecule" / "lab"))
import images
from shell import LabError, docker, run

HERE = Path(__file__).resolve().parent
WAYS = ("slipway", "naive", "pgbackrest", "physical")
PAIRS = (
    *(("slipway", "naive"), ("physical", "naive"), ("pgbackrest", "naive")),
    *(("slipway", "pgbackrest"), ("physical", "pgbackrest")),
)
RATIOS = {"wall": "seconds", "cpu": "cpu_seconds", "object": "object_mb", "restore": "restore_seconds"}
SUITES = {"trixie": ("17", "docker-cli"), "bookworm": ("15", "docker.io")}
S3 = "slipway-bench-s3"
CLIENT = "slipway-bench-client"
VOLUMES = ("slipway-bench-data", "slipway-bench-run")
# What the log that waits for its shipper may take of this machine.
SPOOL = Path("/var/lib/slipway/wal/physical")
SERVER_SETTINGS = (
    *("max_locks_per_transaction=1024", "shared_buffers=512MB", "max_wal_size=4GB", "checkpoint_timeout=15min"),
    "archive_mode=on",
)
FASTER_LOADING = ("fsync=off", "full_page_writes=off", "synchronous_commit=off", "archive_command=/bin/true")


class Bench:
    """Three containers on one network: the database server, the S3 server, and the clients that are measured."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self.options = options
        self.folder = folder
        self.major, docker_client = SUITES[options.suite]
        server = images.data_services(options.suite)[f"library/postgres:{self.major}"]
        name = f"bench-backup-{options.suite}"
        self.image = images.build(name, HERE / "image", server, {"DOCKER_CLIENT": docker_client})
        self.result = Result("backup" if options.suite == "trixie" else f"backup_{options.suite}")
        self.shipping = False

    def prepare(self) -> None:
        run(
            [
                *["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=localhost"],
                *["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
                *["-keyout", str(self.folder / "key.pem"), "-out", str(self.folder / "certificate.pem")],
            ]
        )
        (self.folder / "s3.json").write_text(json.dumps(place.S3_IDENTITIES), encoding="utf-8")
        (self.folder / "pgbackrest.conf").write_text(place.PGBACKREST, encoding="utf-8")
        for path in (self.folder, *self.folder.iterdir()):
            path.chmod(0o755)

    def start(self) -> None:
        settings = [word for one in SERVER_SETTINGS for word in ("-c", one)]
        shared = [
            f"--volume={volume}:{path}" for volume, path in zip(VOLUMES, (place.DATA, "/run/postgresql"), strict=True)
        ]
        bench = f"--volume={self.folder}:{place.BENCH}"
        docker(
            *[
                "run",
                "--detach",
                "--name",
                place.SERVER,
                "--shm-size=512m",
                f"--env=POSTGRES_PASSWORD={place.PASSWORD}",
            ],
            *[*shared, bench, self.image, "postgres", *settings],
        )
        beside = ["run", "--detach", f"--network=container:{place.SERVER}", bench]
        weed = f"--volume={images.object_store()}:/usr/local/bin/weed:ro"
        docker(*beside, "--name", S3, "--volume=/data", weed, "--entrypoint=", self.image, *place.S3_COMMAND)
        root = docker("info", "--format", "{{.DockerRootDir}}")
        mounts = [
            f"{ROOT / 'plugins/module_utils'}:/usr/lib/slipway/slipway:ro",
            f"{ROOT / 'tests/bench'}:/srv/slipway/tests/bench:ro",
            # The physical restore makes volumes, writes into them and starts containers, as on a server.
            "/var/run/docker.sock:/var/run/docker.sock",
            f"{root}/volumes:{root}/volumes",
            f"{SPOOL}:{SPOOL}",
        ]
        SPOOL.mkdir(parents=True, exist_ok=True)
        words = [f"--volume={mount}" for mount in mounts]
        docker(*beside, "--name", CLIENT, *shared, *words, "--entrypoint=", self.image, "sleep", "infinity")
        run(["docker", "exec", place.SERVER, *self._until_ready()])

    def _until_ready(self) -> list[str]:
        # The image's entry point starts a first server that listens on the socket only.
        return ["sh", "-c", "for i in $(seq 120); do pg_isready -q -h 127.0.0.1 && exit 0; sleep 0.5; done; exit 1"]

    def alter(self, *settings: str) -> None:
        """Settings that need no restart."""
        for one in settings:
            name, _equals, value = one.partition("=")
            self.sql(f"ALTER SYSTEM SET {name} = '{value}'")
        self.sql("SELECT pg_reload_conf()")

    def sql(self, statement: str) -> None:
        docker("exec", place.SERVER, "psql", "-U", "postgres", "-qXc", statement)

    def measure(self) -> Result:
        options = self.options
        self.alter(*FASTER_LOADING)
        settings = {
            "major": self.major,
            "size_mb": options.size_mb,
            "repetitions": options.repetitions,
            "schemas": options.schemas,
            "tables": 10,
            "ways": options.ways.split(","),
        }
        environment = "--env=PYTHONPATH=/srv/slipway/tests/bench:/srv/slipway/tests/bench/backup"
        docker(
            "exec",
            CLIENT,
            "python3",
            "-c",
            "import sys; sys.path.insert(0, '/srv/slipway/tests/bench/backup'); import place; place.write_stacks()",
        )
        command = [
            "docker",
            "exec",
            "-i",
            environment,
            CLIENT,
            "python3",
            "-B",
            "/srv/slipway/tests/bench/backup/measure.py",
            json.dumps(settings),
        ]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as client:
            if client.stdin is None or client.stdout is None:
                raise AssertionError("both are pipes")
            for line in client.stdout:
                self._take(json.loads(line), client.stdin)
        if client.returncode != 0:
            raise SystemExit(f"The measurement ended with status {client.returncode}.")
        return finish(self.result, options)

    def _take(self, told: dict[str, Any], client: IO[str]) -> None:
        if "figure" in told:
            self.result.add(told["figure"], told["value"])
        elif "fill" in told:
            self.alter(*FASTER_LOADING)
            print(file=client, flush=True)
        elif "filled" in told:
            self._be_durable()
            print(file=client, flush=True)
        elif "repetition" in told:
            print(f"{told['repetition']}/{self.options.repetitions}", flush=True)
        elif "absent" in told:
            print(f"{told['absent']} is absent: {told['reason']}", flush=True)
        else:
            print(f"    {told['say']}", flush=True)

    def _be_durable(self) -> None:
        """From here on the server is set as a team's is."""
        self.sql("CHECKPOINT")
        os.sync()
        self.alter("fsync=on", "full_page_writes=on", "synchronous_commit=on")
        self.sql("CHECKPOINT")
        if "pgbackrest" in self.options.ways:
            self.alter("archive_command=pgbackrest --config=/bench/pgbackrest.conf --stanza=main archive-push %p")
        if "physical" in self.options.ways and not self.shipping:
            self.shipping = True
            command = "import sys; from slipway.agent.cli import main; sys.exit(main())"
            docker(
                *["exec", "--detach", "--env=PYTHONPATH=/usr/lib/slipway", CLIENT],
                *["python3", "-B", "-c", command, "wal", "ship", "physical"],
            )


@contextmanager
def containers() -> Iterator[None]:
    """None is there before, none stays."""
    remove()
    try:
        yield
    finally:
        remove()


def remove() -> None:
    names = docker("ps", "--all", "--format", '{{.Names}} {{.Label "slipway.wal.stack"}}').splitlines()
    for line in names:
        name, _space, stack = line.partition(" ")
        if name in (CLIENT, S3, place.SERVER) or stack == "physical" or name.startswith("physical-restored"):
            docker("rm", "--force", "--volumes", name)
    for volume in docker("volume", "ls", "--quiet").split():
        if volume in VOLUMES or volume.startswith("physical-restored"):
            docker("volume", "rm", "--force", volume)
    shutil.rmtree(SPOOL, ignore_errors=True)


def finish(result: Result, options: argparse.Namespace) -> Result:
    for way, peer in PAIRS:
        for called, figure in RATIOS.items():
            if f"{way}.{figure}" in result.figures and f"{peer}.{figure}" in result.figures:
                result.compare(way, peer, figure, called)
    # pg_basebackup runs beside the server, so this side's processor time says little.
    for peer in ("naive", "pgbackrest"):
        result.ratios.pop(f"physical/{peer}.cpu", None)
    if options.schemas:
        result.compare("schemas_slipway", "schemas_pg_dump", "seconds", "wall")
    return result


def setting(name: str, otherwise: str) -> str:
    return os.environ.get(name) or otherwise


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size-mb", type=int, default=int(setting("SIZE_MB", "1000")))
    parser.add_argument("--repetitions", type=int, default=int(setting("REPETITIONS", "5")))
    parser.add_argument("--schemas", type=int, default=int(setting("SCHEMAS", "2000")))
    parser.add_argument("--suite", choices=sorted(SUITES), default=setting("SUITE", "trixie"))
    parser.add_argument("--ways", default=setting("WAYS", ",".join(WAYS)))
    options = parser.parse_args(arguments)
    try:
        with tempfile.TemporaryDirectory(prefix="slipway-bench-") as folder, containers():
            bench = Bench(options, Path(folder))
            bench.prepare()
            bench.start()
            result = bench.measure()
    except LabError as error:
        raise SystemExit(str(error)) from None
    print(f"\n{result}\n\n{result.write()}: written; `make benchmarks` puts it into docs/benchmarks.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
