# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The proof by restore: a backup is brought up where nothing serves, compared, asked, and the result is recorded.

A drill has a lock of its own: no backup ever waits for one.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ..common.errors import SlipwayError
from ..common.events import Emitter
from ..common.lock import FileLock
from . import catalog, containers, drill_postgres, drill_result, drill_server, manifest, restore_files, restore_redis
from .drill_result import Drill
from .manifest import Manifest
from .spec import STATE_DIRECTORY, Spec, kinds
from .store import Store, stores
from .wal import status as wal_status
from .wal.archive import parse_moment
from .wal.options import KIND as LOG

DIRECTORY = Path("/var/lib/slipway/drill")


def _redis(spec: Spec, _store: Store, known: Manifest, drill: Drill, emitter: Emitter) -> None:
    started = time.monotonic()
    keys, drill.image = restore_redis.trial(spec, known.id, _place(spec, drill), emitter)
    drill.restore_seconds = round(time.monotonic() - started, 2)
    drill.rows, drill.compared = sum(keys.values()), ["keys"]


def _files(spec: Spec, _store: Store, known: Manifest, drill: Drill, emitter: Emitter) -> None:
    started = time.monotonic()
    restore_files.trial(spec, known.id, _place(spec, drill), emitter)
    drill.restore_seconds = round(time.monotonic() - started, 2)
    drill.compared = ["checksums"]


def _place(spec: Spec, drill: Drill) -> Path:
    return DIRECTORY / spec.stack / spec.kind / drill.id


TRIALS: dict[str, Callable[[Spec, Store, Manifest, Drill, Emitter], None]] = {
    "postgres": drill_postgres.trial,
    "redis": _redis,
    "files": _files,
    "state": _files,
}


def run(spec: Spec, wanted: str, emitter: Emitter) -> dict[str, Any]:
    """Bring one backup up and say how it went. Whatever is wrong is recorded as failed, and raised."""
    if spec.kind not in TRIALS:
        raise SlipwayError(
            f"There is no drill for a backup of kind {spec.kind}.", hint=f"There is one for {', '.join(TRIALS)}."
        )
    drill = Drill.begin(spec, datetime.now(timezone.utc))
    started, first = time.monotonic(), len(emitter.phases)
    with _lock(spec):
        clean(spec)
        drill_result.begun(spec, drill)
        store: Store | None = None
        try:
            places = stores(spec)
            backup = catalog.pick(catalog.entries(places), wanted, spec)
            store = catalog.best_copy(backup, places)
            known = backup.manifest
            drill.backup, drill.database, drill.created = known.id, known.database, known.snapshot_time
            drill.store, drill.bytes = store.name, known.total_bytes()
            TRIALS[spec.kind](spec, store, known, drill, emitter)
            if wanted == catalog.LATEST:
                drill.loss_seconds = _loss(spec, known)
            drill.goals, drill.missed = spec.goals.judge(drill.restore_seconds, drill.loss_seconds)
            drill.result = drill_result.GOOD
        except BaseException as error:
            drill.reason = str(error) or type(error).__name__
            raise
        finally:
            _remove(spec)
            drill.seconds = round(time.monotonic() - started, 2)
            drill.phases = {one["name"]: one["seconds"] for one in emitter.phases[first:]}
            _record(spec, store, drill, emitter)
            drill_result.ended(spec)
    emitter.info(told(drill))
    return {"drill": drill.as_dict(), "changed": True}


def _loss(spec: Spec, newest: Manifest) -> float | None:
    """Seconds of the database's work that are in no backup at this moment: behind the log, or else behind the dump."""
    if spec.kind != "postgres":
        return None
    shipped = wal_status.read(spec.stack) if LOG in kinds(spec.stack) else {}
    covered = parse_moment(str(shipped.get("covered") or "")) or manifest.parse_moment(newest.snapshot_time)
    return round(max(0.0, (datetime.now(timezone.utc) - covered).total_seconds()), 1)


def plan(spec: Spec, wanted: str) -> dict[str, Any]:
    """What a drill would bring up, for check mode; reads only."""
    places = stores(spec)
    backup = catalog.pick(catalog.entries(places), wanted, spec)
    return {
        "backup": backup.id,
        "created": backup.manifest.snapshot_time,
        "kind": spec.kind,
        "store": catalog.best_copy(backup, places).name,
        "queries": [{"name": one.name} for one in spec.drill.queries] if spec.kind == "postgres" else [],
    }


def told(drill: Drill) -> str:
    """One good drill, as people read it."""
    counted = {"postgres": f"{drill.tables} tables with {drill.rows} rows", "redis": f"{drill.rows} keys"}
    asked = f", {len(drill.queries)} check queries" if drill.queries else ""
    return (
        f"Backup {drill.backup} is restored: {counted.get(drill.kind, f'{drill.bytes} stored bytes')}{asked}; "
        f"the restore took {drill.restore_seconds:g} s, the whole drill {drill.seconds:g} s."
        + "".join(f" {sentence}" for sentence in drill.goals)
    )


def clean(spec: Spec) -> None:
    """Remove what a killed drill of the stack left, and note that it proved nothing."""
    _remove(spec)
    killed = drill_result.unfinished(spec)
    if killed:
        killed.time = manifest.moment(datetime.now(timezone.utc))
        drill_result.note(spec, killed)
        drill_result.ended(spec)


def _remove(spec: Spec) -> None:
    if spec.kind in ("postgres", "redis"):
        with containers.engine() as client:
            drill_server.clean(client, spec.stack, spec.kind)
    shutil.rmtree(DIRECTORY / spec.stack / spec.kind, ignore_errors=True)


def clean_up(spec: Spec) -> None:
    """The same when no drill is at work; for what runs after one was killed."""
    with _lock(spec):
        clean(spec)


def _lock(spec: Spec) -> FileLock:
    what = f"drill the backup of {spec.stack} ({spec.kind})"
    return FileLock(STATE_DIRECTORY / "drill-lock", wait=spec.lock_wait, what=what)


def _record(spec: Spec, store: Store | None, drill: Drill, emitter: Emitter) -> None:
    """Beside the manifest, then on the host. A good drill that cannot be recorded is none."""
    drill.time = manifest.moment(datetime.now(timezone.utc))
    problem: SlipwayError | None = None
    if store and drill.backup:
        try:
            drill_result.store(store, drill)
        except SlipwayError as error:
            problem = error
            emitter.info(f"The result is on this host only: {error}")
    if problem and drill.result == drill_result.GOOD:
        drill.result = drill_result.FAILED
        drill.reason = f"The result cannot be recorded beside the backup: {problem}"
        drill_result.note(spec, drill)
        raise problem
    drill_result.note(spec, drill)
