# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A tenant as an export: the dump of its schema with a manifest, made by the backup engine's own parts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..backup import catalog, engine, record, verify
from ..backup import spec as backup_spec
from ..backup import store as backup_store
from ..backup.spec import Spec
from ..common.errors import SlipwayError
from ..common.events import Emitter
from ..common.lock import FileLock
from . import facts, target
from .session import Session


def run(request: Mapping[str, Any], emitter: Emitter) -> dict[str, Any]:
    """Make one export and read it back; the result holds its manifest."""
    spec = target.specification(request, str(request.get("name") or ""))
    return {"changed": True, "export": make(spec, emitter, prove=bool(request.get("verify", True)))}


def plan(request: Mapping[str, Any]) -> dict[str, Any]:
    """What an export would be made of and where it would go; reads only."""
    spec = target.specification(request, str(request.get("name") or ""))
    with Session.open(spec.postgres) as session:
        tenant = facts.require(session.rows, spec.of)
    return {
        "changed": True,
        "export": {
            "slug": tenant.slug,
            "schema": tenant.schema,
            "places": places(spec),
            "encrypted": spec.encrypted,
            "exports": len(catalog.entries(backup_store.stores(spec))),
        },
    }


def make(spec: Spec, emitter: Emitter, *, prove: bool) -> dict[str, Any]:
    """The manifest of a new export, with `places` and whether it was `verified`."""
    made = engine.run(spec, emitter)["backup"]
    verified = False
    if prove:
        verified = not confirm(spec, made["id"], emitter)["sealed"]
    return {**made, "places": [f"{place}/{made['id']}" for place in places(spec)], "verified": verified}


def confirm(spec: Spec, identity: str, emitter: Emitter) -> dict[str, Any]:
    """Read an export back in full. What is encrypted for somebody else is compared as it was stored."""
    try:
        return verify.verify(spec, identity, emitter, sealed_too=True)
    except SlipwayError as error:
        record.failure(spec, record.VERIFY, str(error))
        raise


def tidy(spec: Spec) -> None:
    """Remove what exports that were killed have left; whoever makes one now is waited for."""
    lock = FileLock(backup_spec.STATE_DIRECTORY / "lock", wait=spec.lock_wait, what=f"tidy the exports of {spec.of}")
    with lock:
        for store in backup_store.stores(spec):
            for identity in sorted(store.strays()):
                store.discard(identity)


def places(spec: Spec) -> list[str]:
    """The folders that the exports of the tenant lie in."""
    folder = f"{spec.stack}/{spec.folder}"
    prefix = f"{spec.s3.prefix}/" if spec.s3 and spec.s3.prefix else ""
    s3 = [f"s3://{spec.s3.bucket}/{prefix}{folder}"] if spec.s3 else []
    return s3 + ([f"{spec.local_directory}/{spec.folder}"] if spec.local_directory else [])


def listing(request: Mapping[str, Any]) -> list[catalog.Backup]:
    """The exports of a tenant, oldest first."""
    spec = target.specification(request, str(request.get("name") or ""))
    return catalog.entries(backup_store.stores(spec))
