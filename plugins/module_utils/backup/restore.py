# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From a backup to a database: always beside first, compared with the manifest, and only then into place."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ..common.errors import SlipwayError
from ..common.events import Emitter
from ..common.files import remove, touch
from ..common.lock import FileLock
from ..common.version import __version__
from . import catalog, database, filling, manifest, reader, room
from .catalog import Backup
from .manifest import Manifest
from .pipeline import Consumer, Pipeline
from .snapshot import row_counts
from .source import Client, Selection, client_for, major, split
from .spec import DATABASE_NAME, STATE_DIRECTORY, Spec
from .store import Store, stores

BESIDE = "beside"
IN_PLACE = "in_place"
SHOWN = 5


@dataclass(frozen=True)
class Request:
    """What is wanted back, and where."""

    id: str = catalog.LATEST
    target: str = BESIDE
    database: str = ""
    selection: Selection = field(default_factory=Selection)
    maintenance_file: str = ""
    identity_file: str = ""

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Request:
        request = cls(
            id=str(data.get("id") or catalog.LATEST),
            target=str(data.get("target") or BESIDE),
            database=str(data.get("database") or ""),
            selection=Selection(tuple(data.get("schemas") or ()), tuple(data.get("tables") or ())),
            maintenance_file=str(data.get("maintenance_file") or ""),
            identity_file=str(data.get("identity_file") or ""),
        )
        if request.target not in (BESIDE, IN_PLACE):
            raise SlipwayError(f"The restore target is {request.target!r}; it is {BESIDE} or {IN_PLACE}.")
        if request.database and (request.target == IN_PLACE or not DATABASE_NAME.fullmatch(request.database)):
            raise SlipwayError(
                f"The database {request.database!r} cannot be restored into.",
                hint="A name of its own is for the target `beside`; in place it is the stack's database.",
            )
        for table in request.selection.tables:
            split(table)
        return request


@dataclass(frozen=True)
class Plan:
    """What a restore would do; found out before anything is touched."""

    backup: Backup
    store: Store
    fresh: str
    before: str

    def as_dict(self, spec: Spec, request: Request) -> dict[str, Any]:
        return {
            "id": self.backup.id,
            "created": self.backup.manifest.snapshot_time,
            "store": self.store.name,
            "target": request.target,
            "database": spec.postgres.database if request.target == IN_PLACE else self.fresh,
            "before": self.before if request.target == IN_PLACE and not request.selection else None,
            "selection": request.selection.describe(),
        }


def plan(spec: Spec, request: Request) -> Plan:
    places = stores(spec)
    backup = catalog.pick(catalog.entries(places), request.id, spec)
    known = backup.manifest
    store = catalog.best_copy(backup, places)
    if known.encryption != reader.PLAIN:
        spec = replace(spec, identity_file=request.identity_file or spec.identity_file)
        reader.try_key(spec, store, known, "globals")  # refuses now what would fail later
    unknown = [name for name in request.selection.tables if known.row_counts and name not in known.tables]
    have = {split(name)[0] for name in known.tables if name.count(".") == 1}
    unknown += [name for name in request.selection.schemas if known.row_counts and name not in have]
    if unknown:
        raise SlipwayError(
            f"Backup {backup.id} does not contain {', '.join(unknown[:SHOWN])}.",
            hint="Its manifest lists every table: slipway backup list --json",
        )
    with database.session(spec.postgres, database.administrative(spec.postgres)) as cursor:
        refuse_older_server(cursor, known)
        place = room.place_of(spec.postgres, cursor)
        if place:
            room.refuse_without_room(place, known.database_bytes)
        fresh = request.database or database.name_beside(spec.postgres.database, "restored", backup.id)
        if request.database and database.exists(cursor, fresh):
            raise SlipwayError(f"A database named {fresh} exists already.", hint="Drop it, or give another name.")
        before = database.name_beside(spec.postgres.database, "before", backup.id)
        return Plan(
            backup,
            store,
            database.free_name(cursor, fresh),
            database.free_name(cursor, before),
        )


def refuse_older_server(cursor: Any, known: Manifest) -> None:
    cursor.execute("SELECT current_setting('server_version')")
    have = str(cursor.fetchone()[0])
    wanted = major(known.server_version)
    if wanted and int(wanted) > int(major(have)):
        raise SlipwayError(
            f"Backup {known.id} is of PostgreSQL {known.server_version}, the server here is {have}, which is older.",
            hint=f"Restore it on PostgreSQL {wanted} or newer: playbooks/data_services.yml brings the service there.",
        )


def run(spec: Spec, request: Request, emitter: Emitter) -> dict[str, Any]:
    """Restore; what is served stays untouched until the restored copy equals its manifest."""
    spec = replace(spec, identity_file=request.identity_file or spec.identity_file)
    started = time.monotonic()
    with FileLock(STATE_DIRECTORY / "lock", wait=spec.lock_wait, what=f"restore {spec.stack}"):
        with emitter.phase("preflight"):
            todo = plan(spec, request)
        work = Restore(spec, request, todo, emitter)
        work.beside()
        result = todo.as_dict(spec, request)
        if request.target == IN_PLACE:
            result["before"] = work.into_place()
        if not request.selection:
            _mark(todo, request)
    return {
        "restore": {
            **result,
            "tables": len(todo.backup.manifest.tables),
            "rows": sum(todo.backup.manifest.tables.values()),
            "roles_created": work.roles_created,
            "seconds": round(time.monotonic() - started, 2),
        },
        "changed": True,
    }


class Restore:
    """The state of one restore while it runs."""

    def __init__(self, spec: Spec, request: Request, todo: Plan, emitter: Emitter) -> None:
        self.spec = spec
        self.request = request
        self.todo = todo
        self.emitter = emitter
        self.known: Manifest = todo.backup.manifest
        self.admin = database.administrative(spec.postgres)
        self.client: Client = client_for(
            spec.postgres, _server_number(spec), spec.client_directory, f"slipway restore {spec.stack}"
        )
        self.roles_created: list[str] = []

    def beside(self) -> None:
        """A whole new database; a failure drops it again."""
        with self.emitter.phase("roles"):
            self.roles_created = filling.create_roles(
                self.spec, self.todo.store, self.known, self.client, self.spec.postgres
            )
        with database.session(self.spec.postgres, self.admin) as cursor:
            database.create(cursor, self.todo.fresh, self.known.properties)
        try:
            with self.emitter.phase("restore"):
                filling.fill(self.spec, self.todo.store, self.known, self.client, self.todo.fresh, self.emitter)
            with self.emitter.phase("compare"):
                self._compare()
            with self.emitter.phase("analyze"):
                database.analyze(self.spec.postgres, self.todo.fresh)
        except BaseException:
            self._drop_fresh()
            raise

    def _drop_fresh(self) -> None:
        with database.session(self.spec.postgres, self.admin) as cursor:
            database.drop(cursor, self.todo.fresh)

    def _compare(self) -> None:
        if not self.known.row_counts:
            return
        found = row_counts(replace(self.spec.postgres, database=self.todo.fresh), "slipway compare")
        wrong = differences(self.known.tables, found)
        if wrong:
            raise SlipwayError(
                f"The restored database does not equal backup {self.known.id}: {'; '.join(wrong[:SHOWN])}.",
                hint="Nothing was replaced. Try another backup: slipway backup list",
            )

    def into_place(self) -> str | None:
        """Swap, or copy the chosen parts. The application sees the maintenance page for that long only."""
        with self.emitter.phase("swap"):
            try:
                with maintenance(self.request.maintenance_file):
                    return self._copy_selection() if self.request.selection else self._swap()
            except BaseException:
                self._drop_fresh()
                raise

    def _swap(self) -> str | None:
        live = self.spec.postgres.database
        with database.session(self.spec.postgres, self.admin) as cursor:
            had = database.exists(cursor, live)
            if had:
                database.carry_rights(cursor, live, self.todo.fresh)
            database.swap(cursor, live, self.todo.fresh, self.todo.before)
        return self.todo.before if had else None

    def _copy_selection(self) -> str | None:
        """pg_dump of the parts from the database beside, in one transaction with setting the old ones aside."""
        live = self.spec.postgres.database
        with database.session(self.spec.postgres, live) as cursor:
            database.refuse_dependents(cursor, self.request.selection.tables)
            prelude, kept = database.set_aside(cursor, self.request.selection, self.known.id)
        with Consumer(self.client.sql(live)) as psql:
            psql.write(f"BEGIN;\n{prelude}\n".encode())
            for source in self.client.copies(self.todo.fresh, self.request.selection):
                with Pipeline(source, []) as pipeline:
                    for chunk in pipeline:
                        psql.write(chunk)
                    # The status of pg_dump is known before COMMIT is written: without that word nothing is changed.
                    pipeline.finish()
            psql.write(b"\nCOMMIT;\n")
            psql.finish()
        self._drop_fresh()
        return ", ".join(kept) or None


def differences(wanted: Mapping[str, int], found: Mapping[str, int]) -> list[str]:
    """The tables whose rows are not those of the manifest, as people read it."""
    names = sorted(set(wanted) | set(found))
    return [
        f"{name} has {found.get(name, 'no table,')} instead of {wanted.get(name, 'no table')}"
        for name in names
        if wanted.get(name) != found.get(name)
    ]


@contextmanager
def maintenance(path: str) -> Iterator[None]:
    """The stack's maintenance flag, unless somebody else has set it already."""
    mine = bool(path) and Path(path).parent.is_dir() and touch(path)
    try:
        yield
    finally:
        if mine:
            remove(path)


def _server_number(spec: Spec) -> int:
    with database.session(spec.postgres, database.administrative(spec.postgres)) as cursor:
        cursor.execute("SELECT current_setting('server_version_num')::int")
        return int(cursor.fetchone()[0])


def _mark(todo: Plan, request: Request) -> None:
    facts = {
        "time": manifest.moment(datetime.now(timezone.utc)),
        "target": request.target,
        "slipway_version": __version__,
    }
    catalog.mark(todo.store, todo.backup.id, manifest.RESTORED, facts)
