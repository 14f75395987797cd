# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A database made of a backup on any server: the roles that it needs, then the dump as a stream."""

from __future__ import annotations

from collections.abc import Callable

from ..common.events import Emitter
from ..postgres.options import PostgresOptions
from . import database, reader, roles
from .manifest import Manifest
from .pipeline import Consumer
from .progress import Progress
from .source import Client
from .spec import Spec
from .store import Store


def create_roles(spec: Spec, store: Store, known: Manifest, client: Client, options: PostgresOptions) -> list[str]:
    """Owners and grantees have to exist; those that do are left as they are. Returns which were made."""
    admin = database.administrative(options)
    with database.session(options, admin) as cursor:
        missing = database.missing_roles(cursor, known.roles)
    if not missing:
        return []
    with reader.opened(spec, store, known, "globals") as pipeline:
        text = b"".join(pipeline)
        pipeline.finish()
    with Consumer(client.sql(admin)) as psql:
        psql.write(roles.statements_for(text.decode(), missing).encode())
        psql.finish()
    return missing


def fill(
    spec: Spec,
    store: Store,
    known: Manifest,
    client: Client,
    name: str,
    emitter: Emitter,
    watch: Callable[[], None] = lambda: None,
) -> None:
    """The dump into an empty database; `watch` may raise while it goes on."""
    with (
        reader.opened(spec, store, known, "database") as pipeline,
        Consumer(client.restore(name)) as restorer,
    ):
        progress = Progress(emitter, "restore", known.dump_bytes)
        for chunk in pipeline:
            restorer.write(chunk)
            progress.at(pipeline.outgoing.bytes)
            watch()
        pipeline.finish()
        reader.confirm(known, "database", pipeline)
        restorer.finish()
