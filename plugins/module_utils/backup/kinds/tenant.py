# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One tenant: pg_dump of its schema, and what another server needs to make the same tenant of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import Any

from ...common.errors import SlipwayError
from ...common.events import Emitter
from ...tenancy import content, facts
from ..manifest import Manifest
from ..snapshot import Snapshot, refuse_without_locks
from ..source import Client, client_for
from ..spec import Spec
from ..store import Store
from .base import Part
from .postgres import prove_dump

SIZE = """
SELECT coalesce(sum(pg_relation_size(c.oid)), 0)::bigint
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = %s AND c.relkind IN ('r', 'm')
"""


class Tenant:
    name = "tenant"

    def __init__(self, spec: Spec) -> None:
        self.spec = spec

    def describe(self) -> str:
        options = self.spec.postgres
        return f"tenant {self.spec.of} of database {options.database} of {options.place()}"

    @contextmanager
    def open(self, emitter: Emitter) -> Iterator[Export]:
        application = f"slipway export {self.spec.of}"
        with emitter.phase("snapshot"):
            snapshot = Snapshot(self.spec.postgres, application)
        with snapshot:
            tenant = facts.require(snapshot.rows, self.spec.of)
            moment = snapshot.facts
            mine = [table for table in moment.tables if table[0] == tenant.schema]
            refuse_without_locks(replace(moment, tables=mine))
            if not snapshot.rows("SELECT 1 FROM pg_namespace WHERE nspname = %s", [tenant.schema]):
                raise SlipwayError(
                    f"The schema {tenant.schema} of tenant {tenant.slug} does not exist.",
                    hint="Run playbooks/tenants.yml, which makes it, or restore it from a backup.",
                )
            client = client_for(self.spec.postgres, moment.server_number, self.spec.client_directory, application)
            yield Export(self.spec, snapshot, client, tenant, client.version())

    def prove(self, store: Store, known: Manifest, emitter: Emitter) -> None:
        prove_dump(self.spec, store, known, emitter)


class Export:
    """The open snapshot, its one stream, and what is counted in it."""

    def __init__(
        self, spec: Spec, snapshot: Snapshot, client: Client, tenant: facts.Facts, client_version: str
    ) -> None:
        self._spec = spec
        self._snapshot = snapshot
        self._client = client
        self._tenant = tenant
        self._client_version = client_version
        self._bytes = int(snapshot.rows(SIZE, [tenant.schema])[0][0])

    def parts(self) -> Iterator[Part]:
        moment = self._snapshot.facts
        dump = self._client.dump(moment.snapshot, moment.server_number, self._tenant.schema)
        yield Part("tenant.dump", "database", dump, self._bytes)

    def facts(self) -> dict[str, Any]:
        moment = self._snapshot.facts
        schema = self._tenant.schema
        found = content.read(self._snapshot.rows, schema)
        return {
            "database": self._spec.postgres.database,
            "snapshot_time": moment.time,
            "server_version": moment.server_version,
            "client_version": self._client_version,
            "wal_lsn": moment.wal_lsn,
            "database_bytes": self._bytes,
            "tables": {f"{schema}.{table}": rows for table, rows in found.tables.items()},
            "extensions": moment.extensions,
            "properties": moment.properties,
            "details": {"tenant": asdict(self._tenant), "content": found.as_dict()},
        }
