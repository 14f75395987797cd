# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One backup from the lock to the retention. Nothing is listed as a backup before its last step, the manifest."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from ..common.errors import SlipwayError
from ..common.events import Emitter
from ..common.lock import FileLock
from . import catalog, filters, manifest, record, retention
from .kinds.base import Content, Part
from .manifest import Dumped, Manifest, StoredObject
from .objects import Objects
from .pipeline import Pipeline, Tally
from .progress import Progress
from .registry import kind_of
from .spec import STATE_DIRECTORY, Spec
from .store import Store, stores

# Another host may make a backup of the same stack in the same bucket; its unit gives up after half a day.
STRAY_AGE = timedelta(days=2)


def run(spec: Spec, emitter: Emitter) -> dict[str, Any]:
    """Make one backup; the result holds its manifest. Any failure leaves nothing behind and is remembered."""
    lock = FileLock(STATE_DIRECTORY / "lock", wait=spec.lock_wait, what=f"back up {spec.stack} ({spec.kind})")
    try:
        with lock:
            made, warnings = Run(spec, emitter).make()
            deleted = _retain(spec, emitter, warnings)
    except SlipwayError as error:
        record.failure(spec, record.BACKUP, str(error))
        raise
    emitter.info(f"Backup {made.id}: {made.total_bytes()} bytes at {' and '.join(spec.destinations())}.")
    return {"backup": made.as_dict(), "deleted": deleted, "warnings": warnings, "changed": True}


def plan(spec: Spec) -> dict[str, Any]:
    """What a run would do, for check mode; reads only."""
    places = stores(spec)
    return {
        "stack": spec.stack,
        "kind": spec.kind,
        "source": kind_of(spec).describe(),
        "destinations": spec.destinations(),
        "encrypted": spec.encrypted,
        "backups": len(catalog.entries(places)),
    }


class Run:
    """The state of one backup while it is made."""

    def __init__(self, spec: Spec, emitter: Emitter) -> None:
        self.spec = spec
        self.emitter = emitter
        self.kind = kind_of(spec)
        self.stores = stores(spec)
        self.filters = filters.chain(spec, encrypted=spec.encrypted)
        self.started = time.monotonic()
        self.warnings: list[str] = []

    def make(self) -> tuple[Manifest, list[str]]:
        with self.emitter.phase("preflight"):
            self._preflight()
        with self.kind.open(self.emitter) as content:
            identity = manifest.new_id(datetime.now(timezone.utc))
            with self._unfinished(identity):
                made = self._store(identity, content)
        record.success(self.spec, made)
        return made, self.warnings

    def _preflight(self) -> None:
        for program in {command.argv[0] for command in filters.forth(self.filters)}:
            if not shutil.which(program):
                raise SlipwayError(
                    f"The program {program} is not installed on this host.",
                    hint="Run: ansible-playbook slipway.vps.site --tags agent,backup",
                )
        for store in self.stores:
            store.check()
        for left in record.unfinished(self.spec):
            self._clean_up_late(left)

    @contextmanager
    def _unfinished(self, identity: str) -> Iterator[None]:
        """Whatever ends the run early, also a signal: what it stored goes, or the next run removes it."""
        record.begin(self.spec, identity)
        try:
            yield
        except BaseException:
            try:
                self._clean_up(identity)
            except SlipwayError as error:
                self.emitter.info(f"The parts of this backup remain for now: {error} The next run removes them.")
            raise
        record.end(self.spec, identity)

    def _clean_up(self, identity: str) -> None:
        for store in self.stores:
            # One that got its manifest is whole there, even if another copy failed.
            if store.get(identity, manifest.NAME) is None:
                store.discard(identity)
        record.end(self.spec, identity)

    def _clean_up_late(self, identity: str) -> None:
        """What an earlier run left is no reason to make no backup now."""
        try:
            self._clean_up(identity)
        except SlipwayError as error:
            self.warnings.append(f"What the unfinished backup {identity} left was not removed: {error}")
            if error.details.get("kind") == "refused":
                # The key may not delete: the bucket's own rules have to, and asking again each time changes nothing.
                record.end(self.spec, identity)
        else:
            self.emitter.info(f"Removed what the unfinished backup {identity} had left.")

    def _store(self, identity: str, content: Content) -> Manifest:
        streams = [self._stream(identity, part) for part in content.parts()]
        with self.emitter.phase("facts"):
            facts = dict(content.facts())
        with self.emitter.phase("store"):
            made = Manifest(
                id=identity,
                stack=self.spec.stack,
                kind=self.spec.kind,
                finished=manifest.moment(datetime.now(timezone.utc)),
                seconds=round(time.monotonic() - self.started, 2),
                dump_bytes=sum(stream.dumped.bytes for stream in streams),
                stored_bytes=sum(stream.stored.bytes for stream in streams),
                objects=[one for stream in streams for one in stream.objects],
                contents={stream.content: Dumped(stream.dumped.bytes, stream.dumped.sha256) for stream in streams},
                compression=f"zstd -{self.spec.level}",
                encryption="age" if self.spec.encrypted else "none",
                recipients=list(self.spec.recipients),
                **facts,
            )
            made.confirmed = {store.name: store.confirm(identity) for store in self.stores}
            for store in self.stores:
                store.commit(identity, made.to_bytes())
            for store in self.stores:
                self._tidy(store, identity)
        return made

    def _tidy(self, store: Store, identity: str) -> None:
        try:
            store.tidy(identity)
        except SlipwayError as error:
            self.warnings.append(f"What repeated requests left beside backup {identity} was not removed: {error}")

    def _stream(self, identity: str, part: Part) -> Stream:
        """One source into every store at once. Its exit status is known before anything is completed."""
        name = part.name + filters.suffix(self.filters)
        objects = Objects(self.stores, identity, name, part.content, self.spec.object_bytes)
        with self.emitter.phase(part.content):
            progress = Progress(self.emitter, part.content, part.expected_bytes)
            try:
                with Pipeline(part.source, filters.forth(self.filters), rate=self.spec.bytes_per_second) as pipeline:
                    for chunk in pipeline:
                        objects.write(chunk)
                        progress.at(pipeline.incoming.bytes)
                    pipeline.finish()
                self.warnings += [f"While {part.content} was read: {one}" for one in pipeline.remarks]
                return Stream(part.content, pipeline.incoming, pipeline.outgoing, objects.finish())
            except BaseException:
                objects.abort()
                raise


@dataclass(frozen=True)
class Stream:
    """One part as it was stored: what went into the first filter, what came out of the last, and where it lies."""

    content: str
    dumped: Tally
    stored: Tally
    objects: list[StoredObject]


def _retain(spec: Spec, emitter: Emitter, warnings: list[str]) -> list[str]:
    """Only ever reached after a good backup."""
    policies = {"s3": spec.keep_s3, "local": spec.keep_local}
    deleted: list[str] = []
    with emitter.phase("retain"):
        places = stores(spec)
        backups = catalog.entries(places, damaged=warnings)
        now = datetime.now(timezone.utc)
        for store in places:
            mine = [one.candidate() for one in backups if store.name in one.copies]
            gone = retention.plan(mine, policies[store.name], now)
            if held := retention.waiting(mine, policies[store.name], now):
                warnings.append(
                    f"{held} backups in {store.name} are older than the retention and stay, because nothing newer is "
                    f"verified: slipway backup verify {spec.stack} --kind {spec.kind}"
                )
            deleted += _delete(spec, store, gone, warnings)
            _forget_strays(spec, store, now, emitter, warnings)
    return deleted


def _delete(spec: Spec, store: Store, identities: Sequence[str], warnings: list[str]) -> list[str]:
    done = []
    for identity in identities:
        # Half deleted it is in no list any more: the next run must know of it.
        record.begin(spec, identity)
        try:
            store.delete(identity)
            done.append(f"{store.name}/{identity}")
        except SlipwayError as error:
            # A bucket that does not allow deletion (append-only key, object lock) keeps its own rules.
            warnings.append(f"The old backup {identity} was not deleted from {store.name}: {error}")
            break
        record.end(spec, identity)
    return done


def _forget_strays(spec: Spec, store: Store, now: datetime, emitter: Emitter, warnings: list[str]) -> None:
    """What has no manifest and is older than any run can be: of a host that is no more, or of a lost note."""
    try:
        for identity in sorted(store.strays()):
            if now - manifest.time_of(identity) > STRAY_AGE:
                store.discard(identity)
                emitter.info(f"Removed what the unfinished backup {identity} had left in {store.name}.")
    except SlipwayError as error:
        if error.details.get("kind") != "refused":
            warnings.append(f"What unfinished backups of {spec.stack} left in {store.name} was not removed: {error}")
