# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The proof that a stored backup can be read: all of it, through the program that would restore it.

`pg_restore --list`, for one, proves nothing: the contents are at the front, and it succeeds on half a dump.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from ..common.events import Emitter
from ..common.lock import FileLock
from ..common.version import __version__
from . import catalog, manifest, reader
from .manifest import Manifest
from .registry import kind_of
from .spec import STATE_DIRECTORY, Spec
from .store import Store, stores


def verify(spec: Spec, wanted: str, emitter: Emitter, *, sealed_too: bool = False) -> dict[str, Any]:
    """Read one backup back in full; mark it as verified, or say what is wrong with it.

    A host without the key can only compare what is stored with the manifest (`sealed_too`): that is no proof that it
    can be restored, so such a backup is not marked, and the result says `sealed`.
    """
    with FileLock(STATE_DIRECTORY / "lock", wait=spec.lock_wait, what=f"verify the backup of {spec.stack}"):
        places = stores(spec)
        backup = catalog.pick(catalog.entries(places), wanted, spec)
        store = catalog.best_copy(backup, places)
        sealed = sealed_too and backup.manifest.encryption != reader.PLAIN and not spec.identity_file
        facts = {
            "time": manifest.moment(datetime.now(timezone.utc)),
            "store": store.name,
            "slipway_version": __version__,
        }
        with emitter.phase("verify"):
            if sealed:
                _compare(store, backup.manifest)
            else:
                kind_of(spec).prove(store, backup.manifest, emitter)
                catalog.mark(store, backup.id, manifest.VERIFIED, facts)
        if sealed:
            emitter.info(
                f"Backup {backup.id} is stored as it was sent: {backup.manifest.total_bytes()} bytes read back, every "
                "SHA-256 is right. It is not verified: it is encrypted and this host has no key to read it "
                "(backup_age_identity). A restore elsewhere has to prove it."
            )
        else:
            emitter.info(f"Backup {backup.id} is verified: {backup.manifest.dump_bytes} bytes read back and parsed.")
    return {"id": backup.id, "sealed": sealed, **facts}


def _compare(store: Store, known: Manifest) -> None:
    for content in known.contents:
        for _chunk in reader.stored(store, known, content):
            pass
