# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The stack's database: pg_dump of one snapshot, and the roles."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ...common.events import Emitter
from .. import containers, reader
from ..manifest import Manifest
from ..pipeline import Consumer
from ..progress import Progress
from ..snapshot import Counting, Snapshot, refuse_without_locks
from ..source import Client, client_for
from ..spec import Spec
from ..store import Store
from .base import Part


class Postgres:
    name = "postgres"

    def __init__(self, spec: Spec) -> None:
        self.spec = spec

    def describe(self) -> str:
        return f"database {self.spec.postgres.database} of {self.spec.postgres.place()}"

    @contextmanager
    def open(self, emitter: Emitter) -> Iterator[Dump]:
        application = f"slipway backup {self.spec.stack}"
        with emitter.phase("snapshot"):
            snapshot = Snapshot(self.spec.postgres, application)
        with snapshot:
            facts = snapshot.facts
            refuse_without_locks(facts)
            client = client_for(self.spec.postgres, facts.server_number, self.spec.client_directory, application)
            # Asked before the first byte is stored: it also proves that the client can be run.
            yield Dump(self.spec, snapshot, client, client.version())

    def prove(self, store: Store, known: Manifest, emitter: Emitter) -> None:
        """Stored checksum, decryption, decompression, dump checksum and pg_restore's own parser, in one pass."""
        prove_dump(self.spec, store, known, emitter)
        with reader.opened(self.spec, store, known, "globals") as pipeline:
            for _chunk in pipeline:
                pass
            pipeline.finish()
            reader.confirm(known, "globals", pipeline)


def prove_dump(spec: Spec, store: Store, known: Manifest, emitter: Emitter) -> None:
    """The dump alone."""
    client = Client(spec.postgres, f"slipway verify {spec.stack}", spec.client_directory)
    with reader.opened(spec, store, known, "database") as pipeline, Consumer(client.parse()) as parser:
        progress = Progress(emitter, "verify", known.dump_bytes)
        for chunk in pipeline:
            parser.write(chunk)
            progress.at(pipeline.outgoing.bytes)
        pipeline.finish()
        reader.confirm(known, "database", pipeline)
        parser.finish()


class Dump:
    """The open snapshot and its two streams. The rows are counted in the same snapshot meanwhile."""

    def __init__(self, spec: Spec, snapshot: Snapshot, client: Client, client_version: str) -> None:
        self._spec = spec
        self._snapshot = snapshot
        self._client = client
        self._client_version = client_version
        self._counting = Counting(snapshot) if spec.row_counts else None

    def parts(self) -> Iterator[Part]:
        if self._counting:
            self._counting.start()
        facts = self._snapshot.facts
        dump = self._client.dump(facts.snapshot, facts.server_number)
        yield Part("database.dump", "database", dump, facts.database_bytes)
        yield Part("globals.sql", "globals", self._client.globals(passwords=self._spec.encrypted))

    def facts(self) -> dict[str, Any]:
        facts = self._snapshot.facts
        tables = self._counting.result() if self._counting else {}
        container = self._spec.postgres.container
        return {
            "database": self._spec.postgres.database,
            "snapshot_time": facts.time,
            "server_version": facts.server_version,
            "client_version": self._client_version,
            "wal_lsn": facts.wal_lsn,
            "database_bytes": facts.database_bytes,
            "tables": tables,
            "row_counts": self._spec.row_counts,
            "extensions": facts.extensions,
            "roles": facts.roles,
            "properties": facts.properties,
            # What a drill makes the same server and the same comparison of.
            "details": {
                "image": containers.image_of(container) if container else "",
                "superuser": facts.superuser,
                "preload": facts.preload,
                "schema": self._counting.schema if self._counting else {},
            },
        }
