# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tenants: Slipway's module beside a loop over community.postgresql, a bare psycopg2 script, and psql."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slipway_bench import Result
from slipway_bench.accounting import Failed
from slipway_bench.play import apart, play
from slipway_bench.result import ROOT

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(ROOT / ".cache" / "collections")]

import wanted
from wanted import APPLICATION, Job

from ansible_collections.slipway.vps.tests.unit.postgres_server import PostgresServer, programs

# As a server is that has to keep its data, with room for the locks of the whole and for some connections.
SETTINGS = ("fsync=on", "full_page_writes=on", "shared_buffers=512MB", "max_wal_size=4GB")
TOLD = re.compile(r"queries=(\d+) changed=(\d+) total=(\d+)")
MS = 1000.0


@dataclass(frozen=True)
class Told:
    """What a play by Slipway took and said."""

    seconds: float
    queries: int
    changed: int
    total: int
    rss_mib: float


class Bench:
    """One server, and a database of its own for each job."""

    def __init__(self, server: PostgresServer, folder: Path) -> None:
        self.server = server
        self.folder = folder

    @contextlib.contextmanager
    def job(self, database: str, tenants: int, tables: int) -> Iterator[Job]:
        """What was written before is on disk by then, so that nobody pays for another one."""
        self.server.query(f'CREATE DATABASE "{database}"')
        self.server.query(wanted.REGISTRY, database)
        self.server.query("CHECKPOINT")
        try:
            yield Job(database, tenants, tables)
        finally:
            self.server.query(f'DROP DATABASE "{database}"')

    def place(self, job: Job) -> dict[str, Any]:
        params = self.server.params(job.database)
        names = {"host": "host", "port": "port", "user": "user", "password": "password", "dbname": "db"}
        return {name: params[f"login_{option}"] for name, option in names.items()}

    def variables(self, job: Job) -> Path:
        path = self.folder / "variables.json"
        content = {
            "place": self.place(job),
            "tenants": [{"slug": slug} for slug in job.slugs],
            "templates": [{"name": "0001_init.sql", "sql": wanted.tables(job.tables)}],
            "prefix": job.prefix,
            "application": APPLICATION,
        }
        path.write_text(json.dumps(content), encoding="utf-8")
        return path

    # The ways. Each returns the seconds of everything that its user starts.

    def slipway(self, job: Job) -> float:
        return self.told(job).seconds

    def told(self, job: Job, *, modules: bool = False) -> Told:
        usage, noted = play(HERE / "slipway.yml", self.variables(job), self.folder, modules=modules)
        found = TOLD.search(usage.output)
        if not found:
            raise Failed(f"the play did not say what it did: {usage.output[-2000:]}")
        queries, changed, total = map(int, found.groups())
        return Told(usage.seconds, queries, changed, total, noted[0]["rss_mib"] if modules else 0.0)

    def community_loop(self, job: Job) -> float:
        usage, _noted = play(HERE / "community_loop.yml", self.variables(job), self.folder)
        return usage.seconds

    def psycopg2(self, job: Job) -> float:
        content = {"place": self.place(job), "tenants": {slug: job.statements(slug) for slug in job.slugs}}
        path = self.folder / "job.json"
        path.write_text(json.dumps(content), encoding="utf-8")
        return apart([sys.executable, str(HERE / "bare.py"), str(path)], dict(os.environ)).seconds

    def psql(self, job: Job) -> float:
        path = self.folder / "job.sql"
        path.write_text("".join(f"BEGIN;{job.statements(slug)};COMMIT;\n" for slug in job.slugs), encoding="utf-8")
        place = self.place(job)
        words = ["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--output=/dev/null", f"--file={path}"]
        known = {"PGHOST": "host", "PGUSER": "user", "PGPASSWORD": "password", "PGDATABASE": "dbname"}
        environment = {**os.environ, "PGPORT": str(place["port"]), **{name: place[key] for name, key in known.items()}}
        return apart([str(self.server.bin / "psql"), *words], environment).seconds

    def check(self, job: Job) -> None:
        """All ways have to make the same, or the comparison is worth nothing."""
        connection = self.server.connect(job.database)
        try:
            with connection.cursor() as cursor:
                cursor.execute(wanted.MADE, (job.prefix, APPLICATION, APPLICATION))
                found = cursor.fetchone()
        finally:
            connection.close()
        if found != (job.tenants, job.tenants * job.tables):
            raise Failed(f"{job}: there are {found} tenants and tables that the application can use")


@contextlib.contextmanager
def server() -> Iterator[PostgresServer]:
    place = programs()
    if place is None:
        raise Failed("no PostgreSQL server is installed here (Debian package postgresql)")
    with tempfile.TemporaryDirectory(prefix="slipway-bench-") as directory:
        started = PostgresServer(Path(directory), place)
        started.initialise()
        started.start(*SETTINGS)
        try:
            started.query(f"CREATE ROLE {APPLICATION} LOGIN")
            yield started
        finally:
            started.stop()


def create(bench: Bench, options: argparse.Namespace, result: Result) -> None:
    """New tenants, then the same once more; one way after the other, in turns."""
    ways: dict[str, tuple[Callable[[Job], float], int]] = {
        "slipway": (bench.slipway, options.tenants),
        "psycopg2": (bench.psycopg2, options.tenants),
        "psql": (bench.psql, options.tenants),
        "community_loop": (bench.community_loop, options.loop),
    }
    names = list(ways)
    for repetition in range(options.repetitions):
        turn = repetition % len(names)
        for name in names[turn:] + names[:turn]:
            way, tenants = ways[name]
            with bench.job(f"{name}_{repetition}", tenants, options.tables) as job:
                seconds = way(job)
                bench.check(job)
                result.add(f"{name}.create", seconds * MS / tenants)
                # psql does everything anew, and would need a script that asks before each statement
                again = way(job) if name != "psql" else 0.0
            if again:
                result.add(f"{name}.again", again * MS / tenants)
            say(f"{repetition + 1}/{options.repetitions} {name}: {seconds:.1f} s for {tenants} new tenants")
    result.compare("community_loop", "slipway", "create")
    result.compare("slipway", "psycopg2", "create")
    result.compare("slipway", "psql", "create")
    result.compare("community_loop", "slipway", "again")


def unchanged(bench: Bench, options: argparse.Namespace, result: Result, tenants: int, tables: int) -> list[Told]:
    """Passes over tenants that are as they should be."""
    with bench.job(f"unchanged_{tenants}", tenants, tables) as job:
        began = time.monotonic()
        made = bench.told(job)
        bench.check(job)
        result.add(f"slipway.create_{tenants}", made.seconds * MS / tenants)
        say(f"{tenants} tenants with {tables} tables each were made in {time.monotonic() - began:.0f} s")
        bench.server.query("VACUUM (ANALYZE)", job.database)
        passes = [bench.told(job, modules=True) for _repetition in range(options.repetitions)]
    for one in passes:
        if one.total != tenants or one.changed:
            raise Failed(f"a pass over {tenants} unchanged tenants changed {one.changed} of {one.total}")
        say(f"an unchanged pass over {tenants} tenants: {one.seconds:.1f} s, {one.queries} queries")
    return passes


def run(options: argparse.Namespace) -> Result:
    result = Result("tenants")
    with server() as started, tempfile.TemporaryDirectory() as folder:
        bench = Bench(started, Path(folder))
        create(bench, options, result)
        for label, tenants, tables in (
            ("100", options.few, options.tables),
            ("2000", options.some, options.tables),
            ("10000", options.many, 1),
        ):
            for one in unchanged(bench, options, result, tenants, tables) if tenants else ():
                result.add(f"slipway.noop_queries_{label}", one.queries)
                result.add(f"slipway.noop_changed_{label}", one.changed)
                result.add(f"slipway.noop_rss_mib_{label}", one.rss_mib)
                result.add(f"slipway.noop_ms_{label}", one.seconds * MS / tenants)
    result.figures["slipway.noop_ms_per_tenant"] = result.figures["slipway.noop_ms_10000"]
    return result


def say(text: str) -> None:
    print(text, flush=True)


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=int(os.environ.get("REPETITIONS", "3")))
    parser.add_argument("--tenants", type=int, default=int(os.environ.get("TENANTS", "200")), help="new ones, each way")
    parser.add_argument("--loop", type=int, default=5, help="new ones of the loop, which takes seconds for each")
    parser.add_argument("--tables", type=int, default=10, help="tables of a tenant")
    parser.add_argument("--few", type=int, default=100, help="unchanged ones, a few")
    parser.add_argument("--some", type=int, default=2000, help="unchanged ones, some; 0 leaves them out")
    parser.add_argument("--many", type=int, default=10_000, help="unchanged ones, with one table each")
    return parser.parse_args(words)


def main() -> int:
    result = run(arguments())
    print(
        f"\n{result}\n\n{result.write().relative_to(ROOT)}: written; `make benchmarks` puts it into docs/benchmarks.md"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
