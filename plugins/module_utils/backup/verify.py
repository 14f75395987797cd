# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The proof that a stored backup can be read: all of it, through the program that would restore it.

`pg_restore --list` proves nothing: the contents are at the front of the archive, and it succeeds on half a dump.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from ..common.errors import SlipwayError
from ..common.events import Emitter
from ..common.lock import FileLock
from ..common.version import __version__
from . import catalog, manifest, reader
from .manifest import Manifest
from .pipeline import Consumer
from .progress import Progress
from .source import Client
from .spec import STATE_DIRECTORY, Spec
from .store import Store, stores


def verify(spec: Spec, wanted: str, emitter: Emitter) -> dict[str, Any]:
    """Read one backup back in full; mark it as verified, or say what is wrong with it."""
    with FileLock(STATE_DIRECTORY / "lock", wait=spec.lock_wait, what=f"verify the backup of {spec.stack}"):
        places = stores(spec)
        backup = catalog.pick(catalog.entries(places), wanted, spec.stack)
        store = catalog.best_copy(backup, places)
        with emitter.phase("verify"):
            read_through(spec, store, backup.manifest, emitter)
            facts = {
                "time": manifest.moment(datetime.now(timezone.utc)),
                "store": store.name,
                "dump_sha256": backup.manifest.dump_sha256,
                "slipway_version": __version__,
            }
            catalog.mark(store, backup.id, manifest.VERIFIED, facts)
        emitter.info(f"Backup {backup.id} is verified: {backup.manifest.dump_bytes} bytes read back and parsed.")
    return {"id": backup.id, **facts}


def read_through(spec: Spec, store: Store, known: Manifest, emitter: Emitter) -> None:
    """Stored checksum, decryption, decompression, dump checksum and pg_restore's own parser, in one pass."""
    client = Client(spec.postgres, f"slipway verify {spec.stack}", spec.client_directory)
    with reader.opened(spec, store, known, "database") as pipeline, Consumer(client.parse()) as parser:
        progress = Progress(emitter, "verify", known.dump_bytes)
        for chunk in pipeline:
            parser.write(chunk)
            progress.at(pipeline.outgoing.bytes)
        pipeline.finish()
        reader.confirm_dump(known, pipeline)
        parser.finish()
    with reader.opened(spec, store, known, "globals") as pipeline:
        for _chunk in pipeline:
            pass
        pipeline.finish()
        if pipeline.outgoing.sha256 != known.globals_sha256:
            raise SlipwayError(f"The roles of backup {known.id} do not unpack to what was dumped.")
