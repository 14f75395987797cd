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
from . import catalog, manifest
from .registry import kind_of
from .spec import STATE_DIRECTORY, Spec
from .store import stores


def verify(spec: Spec, wanted: str, emitter: Emitter) -> dict[str, Any]:
    """Read one backup back in full; mark it as verified, or say what is wrong with it."""
    with FileLock(STATE_DIRECTORY / "lock", wait=spec.lock_wait, what=f"verify the backup of {spec.stack}"):
        places = stores(spec)
        backup = catalog.pick(catalog.entries(places), wanted, spec)
        store = catalog.best_copy(backup, places)
        with emitter.phase("verify"):
            kind_of(spec).prove(store, backup.manifest, emitter)
            facts = {
                "time": manifest.moment(datetime.now(timezone.utc)),
                "store": store.name,
                "slipway_version": __version__,
            }
            catalog.mark(store, backup.id, manifest.VERIFIED, facts)
        emitter.info(f"Backup {backup.id} is verified: {backup.manifest.dump_bytes} bytes read back and parsed.")
    return {"id": backup.id, **facts}
