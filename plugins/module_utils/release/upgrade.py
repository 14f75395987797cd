# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A new major version of PostgreSQL: everything is streamed from the old volume into a new one, then compared.

Two throw-away containers do it, without any network, so that nobody can write meanwhile: the old server on the old
volume, the new server on a new one. They meet on a Unix socket; the new version's own programs dump and restore. The
old volume is only read, and stays.
"""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..backup import database
from ..backup.pipeline import Consumer, Pipeline
from ..backup.progress import Progress
from ..backup.snapshot import Snapshot, refuse_without_locks
from ..backup.source import DUMP_OPTIONS, Client, Command
from ..common.errors import SlipwayError
from ..common.files import write_json
from ..postgres.options import PostgresOptions
from . import archive, compose, health
from .daemon import Container, Daemon
from .definitions import Definition
from .host import Host
from .model import Model
from .paths import DATA
from .record import FIRST_START

START_SECONDS = 300
# Longer is not needed: what was written is checkpointed first, and only read from then on.
STOP_GRACE = "60s"
POLL_SECONDS = 0.5
SOCKETS = "/var/run/postgresql"
OLD_SOCKETS = "/slipway/old"
# What a server needs to start as it does in the stack; networks, ports and health checks are not part of it.
KEPT_KEYS = ("command", "entrypoint", "user", "shm_size", "ulimits", "configs", "secrets", "tmpfs")
# Exist in every new cluster; filled, not created.
STANDING = ("template1", "postgres")
VERSION_SUFFIX = re.compile(r"_pg\d+(_\d+)?$")
SHOWN = 5

OBSTACLES = """
SELECT 'it has the tablespace ' || spcname FROM pg_tablespace WHERE spcname !~ '^pg_'
UNION ALL SELECT 'the database ' || datname || ' allows no connections' FROM pg_database
  WHERE NOT datallowconn AND NOT datistemplate
UNION ALL SELECT 'the prepared transaction ' || gid || ' is open' FROM pg_prepared_xacts
"""
DATABASES = "SELECT datname, pg_database_size(oid) FROM pg_database WHERE datallowconn ORDER BY datistemplate DESC, 1"


@dataclass(frozen=True)
class Jump:
    """From one major version to another."""

    before: int
    after: int


def jump(daemon: Daemon, before: str, after: str) -> Jump | None:
    """None if the service is no PostgreSQL, or its major version stays."""
    majors = [major(image_environment(daemon, image)) for image in (before, after)]
    if majors[0] is None or majors[1] is None or majors[0] == majors[1]:
        return None
    return Jump(majors[0], majors[1])


def image_environment(daemon: Daemon, image: str) -> dict[str, str]:
    config = daemon.client.api.inspect_image(image).get("Config") or {}
    return dict(entry.partition("=")[::2] for entry in config.get("Env") or ())


def major(environment: Mapping[str, str]) -> int | None:
    """The major version that an image of PostgreSQL names; None if it is of something else."""
    said = environment.get("PG_MAJOR", "")
    return int(said) if "PGDATA" in environment and said.isdigit() else None


def refuse(host: Host, before: Definition, after: Definition, found: Jump | None, confirmed: str) -> None:
    """Whatever would end it half-way is found before anything is touched."""
    if found is None:
        return
    stack = host.paths.stack
    if found.after < found.before:
        raise SlipwayError(
            f"PostgreSQL of {stack} is {found.before}, the Compose file asks for {found.after}: there is no way back "
            "to an older major version.",
            hint=f"Name {found.before} in the Compose file, or go back to the data before an upgrade with: "
            f"slipway data back {stack} {after.service}",
        )
    key = data_volume(host.daemon, before, after)
    if confirmed != stack:
        raise SlipwayError(
            f"PostgreSQL of {stack} would go from {found.before} to {found.after}, a new major version: all its data "
            "is transferred to a new volume, and visitors see the maintenance page for that long.",
            hint=f"Say that you mean it with -e data_services_upgrade={stack}",
        )
    old = archive.mountpoint(host.daemon, before.volumes[key])
    needed, free = archive.size(old), shutil.disk_usage(old).free
    if needed > free:
        raise SlipwayError(
            f"The new volume may need {needed // 10**6} MB, {free // 10**6} MB are free below {old}.",
            hint="Free some space first.",
        )


def data_volume(daemon: Daemon, before: Definition, after: Definition) -> str:
    """The name in the Compose file of the volume that holds the database; the same before and after."""
    keys = [_holder(definition, image_environment(daemon, definition.image)) for definition in (before, after)]
    if keys[0] != keys[1]:
        raise SlipwayError(
            f"The database of {before.service} is in the volume {keys[0]}, the new definition has it in {keys[1]}.",
            hint=f"Keep the volume {keys[0]} in the Compose file: the upgrade makes a new one under that name.",
        )
    return keys[0]


def _holder(definition: Definition, environment: Mapping[str, str]) -> str:
    place = Path(str((definition.team.get("environment") or {}).get("PGDATA") or environment["PGDATA"]))
    mounts = [mount for mount in definition.team.get("volumes") or () if place.is_relative_to(str(mount.get("target")))]
    if not mounts or mounts[-1].get("type") != "volume" or not mounts[-1].get("source"):
        raise SlipwayError(
            f"The database of {definition.service} ({place} in its container) is not in a named volume.",
            hint="An upgrade needs one: put the database into a named volume, or upgrade it by hand.",
        )
    return str(max(mounts, key=lambda mount: len(str(mount["target"])))["source"])


def refuse_shared(model: Model, service: str, volume: str) -> None:
    """Another service would go on with the old volume."""
    for name, entry in model.services.items():
        sources = {mount.get("source") for mount in entry.get("volumes") or () if mount.get("type") == "volume"}
        if name != service and volume in sources:
            raise SlipwayError(
                f"The service {name} mounts the database's volume {volume} too.",
                hint=f"Take it from {name} before the upgrade.",
            )


def free_volume(daemon: Daemon, before: str, version: int) -> str:
    """`shop_postgres_data` -> `shop_postgres_data_pg17`, numbered if an older try left one."""
    taken = {volume["Name"] for volume in daemon.client.api.volumes().get("Volumes") or ()}
    base = VERSION_SUFFIX.sub("", before) + f"_pg{version}"
    names = [base, *(f"{base}_{number}" for number in range(2, len(taken) + 3))]
    return next(name for name in names if name not in taken)


def remove_volume(daemon: Daemon, name: str) -> None:
    try:
        daemon.client.api.remove_volume(name)
    except daemon.errors.NotFound:
        return  # it was not made yet
    except daemon.errors.APIError as error:
        raise SlipwayError(f"The volume {name} cannot be removed: {error.explanation}") from error


# --- the two servers


def server(
    definition: Definition, volume: str, target: str, sockets: Mapping[str, str], extra: Mapping[str, str]
) -> dict[str, Any]:
    """A Compose document with the service alone: on one volume, without a network, without what fills it at first."""
    team = definition.team
    environment = team.get("environment") or {}
    given = {name: value for name, value in environment.items() if name.removesuffix("_FILE") not in extra}
    files = [
        mount
        for mount in team.get("volumes") or ()
        if mount.get("type") == "bind" and not str(mount.get("target")).startswith(FIRST_START)
    ]
    mounts = [{"type": "bind", "source": source, "target": inner} for inner, source in sockets.items()]
    entry = {
        **{key: team[key] for key in KEPT_KEYS if team.get(key)},
        "image": definition.image,
        "pull_policy": "never",
        "network_mode": "none",
        "restart": "no",
        # The server itself has to be the first process: that is how its own start is told from the image's set-up.
        "init": False,
        "healthcheck": {"disable": True},
        "stop_grace_period": STOP_GRACE,
        "environment": {**given, **extra},
        "volumes": [{"type": "volume", "source": "database", "target": target}, *files, *mounts],
    }
    top = {kind: definition.entry[kind] for kind in ("configs", "secrets") if kind in definition.entry}
    return {
        "services": {definition.service: entry},
        "volumes": {"database": {"name": volume, "external": True}},
        **top,
    }


class Servers:
    """Starts and ends the throw-away containers."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.place = host.paths.data / "upgrade"

    def project(self, side: str) -> str:
        return f"{self.host.paths.stack}-upgrade-{side}"

    def start(
        self, side: str, definition: Definition, document: Mapping[str, Any], options: PostgresOptions
    ) -> Container:
        path = self.place / f"{side}.json"
        write_json(path, document)
        project = compose.Project(self.project(side), str(self.host.paths.files), (str(path),))
        compose.call(compose.up(project, [definition.service], {}), {}, START_SECONDS)
        return self._wait(side, options)

    def _wait(self, side: str, options: PostgresOptions) -> Container:
        """Until the server itself runs, after whatever the image does first, and lets us in."""
        deadline = time.monotonic() + START_SECONDS
        while True:
            found = self.host.daemon.containers(self.project(side))
            if found and found[0].running and _first_process(self.host.daemon, found[0]) == "postgres":
                try:
                    with database.session(options, "postgres"):
                        return found[0]
                except SlipwayError:
                    if time.monotonic() >= deadline:
                        raise
            if time.monotonic() >= deadline or any(entry.status in ("exited", "dead") for entry in found):
                raise health.sick(self.host.daemon, found[0], f"the {side} server does not start")
            time.sleep(POLL_SECONDS)

    def sockets(self, side: str) -> str:
        place = self.place / side
        place.mkdir(parents=True, exist_ok=True)
        self.place.chmod(0o700)
        # The server's user of the image makes its socket here; nobody else gets past the directory above.
        place.chmod(0o1777)
        return str(place)

    def end(self) -> None:
        for side in ("old", "new"):
            self.host.daemon.remove(self.host.daemon.containers(self.project(side)))
        shutil.rmtree(self.place, ignore_errors=True)


def _first_process(daemon: Daemon, entry: Container) -> str:
    pid = daemon.client.api.inspect_container(entry.id)["State"].get("Pid") or 0
    try:
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def clean_up(host: Host) -> None:
    Servers(host).end()


# --- the transfer


def transfer(host: Host, before: Definition, after: Definition, volume: str) -> dict[str, int]:
    """Fill the new volume; the rows by table, the same in both. The service is stopped meanwhile."""
    servers = Servers(host)
    servers.end()
    try:
        return _transfer(host, servers, before, after, volume)
    finally:
        servers.end()


def _transfer(host: Host, servers: Servers, before: Definition, after: Definition, volume: str) -> dict[str, int]:
    key = data_volume(host.daemon, before, after)
    sockets = {side: servers.sockets(side) for side in ("old", "new")}
    environment = before.team.get("environment") or {}
    old = PostgresOptions(
        user=str(environment.get("POSTGRES_USER") or "postgres"),
        password=str(environment.get("POSTGRES_PASSWORD") or "").replace("$$", "$"),
        unix_socket=sockets["old"],
    )
    document = server(before, before.volumes[key], _target(before, key), {SOCKETS: sockets["old"]}, {})
    servers.start("old", before, document, old)
    owner, databases = _inspect(old)
    host.daemon.client.volumes.create(volume, labels=_labels(host, key))
    document = server(
        after,
        volume,
        _target(after, key),
        {SOCKETS: sockets["new"], OLD_SOCKETS: sockets["old"]},
        {"POSTGRES_USER": owner, "POSTGRES_DB": "postgres"},
    )
    password = str((after.team.get("environment") or {}).get("POSTGRES_PASSWORD") or "").replace("$$", "$")
    new = PostgresOptions(user=owner, password=password, unix_socket=sockets["new"])
    container = servers.start("new", after, document, new)
    copy = Copy(Client(replace(new, container=container.name), "slipway upgrade"), old)
    copy.roles(owner)
    progress = Progress(host.emitter, "transfer", sum(databases.values()))
    for name in databases:
        copy.database(name, progress)
    rows = {}
    for name in databases:
        rows.update(_compare(old, new, name))
        database.analyze(new, name)
    with database.session(new, "postgres") as cursor:
        cursor.execute("CHECKPOINT")
    return rows


def _target(definition: Definition, key: str) -> str:
    return next(str(mount["target"]) for mount in definition.team["volumes"] if mount.get("source") == key)


def _labels(host: Host, key: str) -> dict[str, str]:
    """As Compose labels what it makes itself."""
    return {"com.docker.compose.project": host.paths.project(DATA), "com.docker.compose.volume": key}


def _inspect(old: PostgresOptions) -> tuple[str, dict[str, int]]:
    """The role that owns the cluster, and the databases with their sizes."""
    with database.session(old, "postgres") as cursor:
        cursor.execute(OBSTACLES)
        obstacles = [text for (text,) in cursor.fetchall()]
        if obstacles:
            raise SlipwayError(
                f"PostgreSQL cannot be upgraded: {'; '.join(obstacles[:SHOWN])}.", hint="Remove it, then run again."
            )
        cursor.execute("SELECT rolname FROM pg_roles WHERE oid = 10")
        owner = str(cursor.fetchone()[0])
        cursor.execute(DATABASES)
        return owner, {str(name): int(size) for name, size in cursor.fetchall()}


class Copy:
    """From the old server to the new one, by the new one's programs, in its container."""

    def __init__(self, client: Client, old: PostgresOptions) -> None:
        self.client = client
        self.old = old
        self.bytes = 0

    def _reading(self, program: str, *arguments: str, name: str) -> Command:
        reader = replace(self.client, options=replace(self.old, container=self.client.options.container))
        return reader.command(
            program, f"--host={OLD_SOCKETS}", "--no-password", *arguments, database=name, pgoptions=DUMP_OPTIONS
        )

    def roles(self, owner: str) -> None:
        reading = self._reading("pg_dumpall", "--globals-only", name="postgres")
        with Pipeline(reading, []) as pipeline:
            text = b"".join(pipeline).decode()
            pipeline.finish()
        with Consumer(self.client.sql("postgres")) as psql:
            psql.write(without_creation(text, owner).encode())
            psql.finish()

    def database(self, name: str, progress: Progress) -> None:
        created = [] if name in STANDING else ["--create"]
        into = name if name in STANDING else "postgres"
        restore = self.client.command(
            "pg_restore", "--exit-on-error", "--no-password", *created, f"--dbname={into}",
            database=into, pgoptions="-c statement_timeout=0",
        )  # fmt: skip
        dump = self._reading("pg_dump", "--format=custom", "--compress=0", name=name)
        with Pipeline(dump, []) as pipeline, Consumer(restore) as restorer:
            for chunk in pipeline:
                restorer.write(chunk)
                self.bytes += len(chunk)
                progress.at(self.bytes)
            pipeline.finish()
            restorer.finish()


def without_creation(text: str, role: str) -> str:
    """The roles without the line that makes this one: a new cluster has its owner already."""
    quoted = '"' + role.replace('"', '""') + '"'
    lines = {f"CREATE ROLE {role};", f"CREATE ROLE {quoted};"}
    return "".join(f"{line}\n" for line in text.splitlines() if line not in lines)


def _compare(old: PostgresOptions, new: PostgresOptions, name: str) -> dict[str, int]:
    """Rows by table of both; a difference is an error."""
    counts = []
    for options in (old, new):
        with Snapshot(replace(options, database=name), "slipway compare") as snapshot:
            refuse_without_locks(snapshot.facts)
            counts.append(snapshot.count(snapshot.facts.tables))
    wrong = sorted(table for table in {*counts[0], *counts[1]} if counts[0].get(table) != counts[1].get(table))
    if wrong:
        raise SlipwayError(
            f"The new server does not hold the same rows in {name}: {json.dumps(wrong[:SHOWN])}.",
            hint="Nothing was replaced. Restore a backup beside and compare, then try again.",
        )
    return {f"{name}.{table}": rows for table, rows in counts[0].items()}
