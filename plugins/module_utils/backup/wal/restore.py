# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Back to a moment: base backup and log into new files, replayed by a throw-away server, then beside or in place.

The live files are not looked at before the copy is recovered, promoted and shut down.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ...common.errors import SlipwayError
from ...common.events import Emitter
from ...common.lock import FileLock
from .. import catalog, manifest, reader
from .. import spec as specs
from ..pipeline import Consumer
from ..progress import Progress
from ..restore import BESIDE, IN_PLACE, maintenance
from ..room import refuse_without_room
from ..source import Command
from ..spec import Spec
from ..store import stores
from .archive import moment, parse_moment
from .base import CONTENT
from .cluster import Cluster, Location, refuse_other_major, refuse_unmovable
from .options import checked
from .plan import RestorePlan, Target
from .recovery import Place, Recovery
from .segments import format_lsn
from .source import Source

NEWEST = "newest"


@dataclass(frozen=True)
class Request:
    """What to restore; `time` is `newest` or ISO 8601 with its offset."""

    time: str = NEWEST
    timeline: int | None = None
    id: str = ""
    target: str = BESIDE
    maintenance_file: str = ""
    identity_file: str = ""

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Request:
        identity = str(data.get("id") or "")
        request = cls(
            time=str(data.get("time") or NEWEST),
            timeline=int(data["timeline"]) if data.get("timeline") else None,
            id="" if identity == catalog.LATEST else identity,
            target=str(data.get("target") or BESIDE),
            maintenance_file=str(data.get("maintenance_file") or ""),
            identity_file=str(data.get("identity_file") or ""),
        )
        if request.target not in (BESIDE, IN_PLACE):
            raise SlipwayError(f"The restore target is {request.target!r}; it is {BESIDE} or {IN_PLACE}.")
        for name in ("schemas", "tables", "database"):
            if data.get(name):
                raise SlipwayError(
                    f"A restore to a moment brings back the whole server, not chosen {name}.",
                    hint="Restore beside, and copy what is needed from there with pg_dump.",
                )
        request.wanted()
        return request

    def wanted(self) -> Target:
        if self.time == NEWEST:
            return Target(None, self.timeline, self.id)
        found = parse_moment(self.time)
        if found is None:
            raise SlipwayError(
                f"The moment {self.time!r} is not a time with its offset from UTC.",
                hint="Write it like 2026-11-21T12:00:00+00:00 (or with Z for UTC), or `newest`.",
            )
        return Target(found, self.timeline, self.id)


def describe(plan: RestorePlan, request: Request) -> dict[str, Any]:
    """For people and for check mode."""
    return {
        "id": plan.base.id,
        "time": request.time,
        "target": request.target,
        "timeline": plan.timeline,
        "base_finished": moment(plan.base.stopped),
        "from_lsn": format_lsn(plan.base.start),
        "segments": len(plan.segments) + (plan.partial is not None),
        "log_reaches": moment(plan.covered) if plan.covered else None,
        "bytes": plan.bytes,
    }


def plan(spec: Spec, request: Request) -> RestorePlan:
    """What a restore would take; reads only."""
    spec = replace(checked(spec), identity_file=request.identity_file or spec.identity_file)
    return Source(spec).plan(request.wanted())


def run(spec: Spec, request: Request, emitter: Emitter) -> dict[str, Any]:
    spec = replace(checked(spec), identity_file=request.identity_file or spec.identity_file)
    started = time.monotonic()
    cluster = Cluster(spec.postgres.container)
    try:
        with FileLock(specs.STATE_DIRECTORY / "lock", wait=spec.lock_wait, what=f"restore {spec.stack} to a moment"):
            work = Restore(spec, request, cluster, emitter)
            with emitter.phase("preflight"):
                work.preflight()
            result = work.in_place() if request.target == IN_PLACE else work.beside()
    finally:
        cluster.close()
    result["seconds"] = round(time.monotonic() - started, 2)
    return {"restore": result, "changed": True}


class Restore:
    """The state of one restore while it runs."""

    def __init__(self, spec: Spec, request: Request, cluster: Cluster, emitter: Emitter) -> None:
        self._spec = spec
        self._request = request
        self._cluster = cluster
        self._emitter = emitter
        self._source = Source(spec)
        self._stamp = datetime.now(timezone.utc).strftime(manifest.STAMP).lower()
        self._name = f"{spec.stack}-restored-{self._stamp}"

    def preflight(self) -> None:
        self._plan = self._source.plan(self._request.wanted())
        self._location: Location = self._cluster.locate()
        refuse_other_major(self._location, self._plan.base.version)
        # Made beside the live files: a later rename must not have to copy.
        if self._request.target == IN_PLACE:
            refuse_unmovable(self._location.path)
        refuse_without_room(self._location.path.parent, self._plan.bytes)

    def beside(self) -> dict[str, Any]:
        """A server of its own, on no network, that stays until somebody removes it."""
        path = self._cluster.volume(self._name, self._spec.stack)
        log = path.parent / "log"
        try:
            recovery = self._recover(path, log)
            recovery.close()
        except BaseException:
            self._cluster.remove_volume(self._name)
            raise
        finally:
            shutil.rmtree(log, ignore_errors=True)
        return {
            **describe(self._plan, self._request),
            "reached": self._reached,
            "container": self._name,
            "before": None,
        }

    def in_place(self) -> dict[str, Any]:
        live = self._location.path
        folder = live.parent / f".slipway-{self._stamp}"
        before = live.parent / f"{live.name}.before-{self._stamp}"
        folder.mkdir(mode=0o700)
        try:
            fresh = folder / "data"
            fresh.mkdir(mode=0o700)
            recovery = self._recover(fresh, folder / "log")
            try:
                recovery.stop()
            finally:
                recovery.close()
            with self._emitter.phase("swap"), maintenance(self._request.maintenance_file):
                self._cluster.exchange(self._location, fresh, before)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return {
            **describe(self._plan, self._request),
            "reached": self._reached,
            "container": self._location.container,
            "before": str(before),
        }

    def _recover(self, data: Path, log: Path) -> Recovery:
        log.mkdir(mode=0o755)
        with self._emitter.phase("fetch"):
            self._source.fetch(self._plan, log, self._emitter)
        with self._emitter.phase("base"):
            self._unpack(data)
        place = Place(self._name, self._location.image, data, log, self._location.volumes)
        recovery = Recovery(place, self._plan, self._emitter)
        with self._emitter.phase("recover"):
            self._reached = recovery.run()
        return recovery

    def _unpack(self, data: Path) -> None:
        """The stream into tar; its owners are those of the server that it came from."""
        places = stores(self._spec)
        backup = catalog.pick(catalog.entries(places), self._plan.base.id, self._spec)
        store = catalog.best_copy(backup, places)
        unpacker = Command(("tar", "--extract", "--file=-", "--numeric-owner", "--same-owner", f"--directory={data}"))
        with reader.opened(self._spec, store, backup.manifest, CONTENT) as pipeline, Consumer(unpacker) as tar:
            progress = Progress(self._emitter, "base", backup.manifest.dump_bytes)
            for chunk in pipeline:
                tar.write(chunk)
                progress.at(pipeline.outgoing.bytes)
            pipeline.finish()
            reader.confirm(backup.manifest, CONTENT, pipeline)
            tar.finish()
        owner = (data / "PG_VERSION").stat()
        os.chown(data, owner.st_uid, owner.st_gid)
        data.chmod(0o700)
