# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which backups there are: only what has a manifest, with what is known about each copy."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ..common.errors import SlipwayError
from . import drill_result, manifest
from .manifest import Manifest
from .retention import Candidate
from .spec import Spec
from .store import Store

LATEST = "latest"


@dataclass(frozen=True)
class Backup:
    """One backup with its copies: store name -> whether every object is there in its full size."""

    manifest: Manifest
    copies: dict[str, bool]
    verified: str
    restored: str
    drill: dict[str, Any] | None = None

    @property
    def id(self) -> str:
        return self.manifest.id

    @property
    def created(self) -> datetime:
        return manifest.parse_moment(self.manifest.snapshot_time)

    @property
    def complete(self) -> bool:
        return any(self.copies.values())

    def candidate(self) -> Candidate:
        return Candidate(self.id, self.created, bool(self.verified) and self.complete)

    def as_dict(self, now: datetime) -> dict[str, Any]:
        """For people, for the module and for the probe."""
        return {
            "id": self.id,
            "stack": self.manifest.stack,
            "kind": self.manifest.kind,
            "database": self.manifest.database,
            "created": self.manifest.snapshot_time,
            "age_seconds": int((now - self.created).total_seconds()),
            "bytes": self.manifest.total_bytes(),
            "dump_bytes": self.manifest.dump_bytes,
            "encryption": self.manifest.encryption,
            "copies": sorted(name for name, whole in self.copies.items() if whole),
            "damaged_copies": sorted(name for name, whole in self.copies.items() if not whole),
            "verified": self.verified or None,
            "restored": self.restored or None,
            "drill": self.drill
            and {name: self.drill.get(name) for name in ("time", "result", "reason", "seconds", "restore_seconds")},
        }


def entries(stores: Sequence[Store], damaged: list[str] | None = None) -> list[Backup]:
    """Every backup, oldest first. A manifest that cannot be read hides its own only, and `damaged` gets a sentence."""
    listings = {store.name: store.listing() for store in stores}
    found = []
    for identity in sorted({identity for listing in listings.values() for identity in listing}):
        try:
            one = _entry(identity, stores, listings)
        except manifest.ManifestError as error:
            if damaged is not None:
                damaged.append(str(error))
            continue
        if one:
            found.append(one)
    return found


def _entry(identity: str, stores: Sequence[Store], listings: dict[str, dict[str, dict[str, int]]]) -> Backup | None:
    holding = [store for store in stores if manifest.NAME in listings[store.name].get(identity, {})]
    read = _manifest(identity, holding)
    if read is None:
        return None
    copies = {one.name: _whole(read, listings[one.name][identity]) for one in holding}
    verified, restored = (_mark(holding, listings, identity, name) for name in (manifest.VERIFIED, manifest.RESTORED))
    names = {one.name: listings[one.name][identity] for one in holding}
    drills = drill_result.last(holding, names, identity)
    good = [str(one["time"]) for one in drills if one["result"] == drill_result.GOOD]
    return Backup(read, copies, verified, max([restored, *good]), drills[0] if drills else None)


def _manifest(identity: str, holding: Sequence[Store]) -> Manifest | None:
    """From the local copy, which costs no request; from the bucket if that one is damaged."""
    failure: SlipwayError | None = None
    for store in sorted(holding, key=lambda store: store.name != "local"):
        data = store.get(identity, manifest.NAME)
        try:
            if data is not None:
                return manifest.parse(data, f"{identity}/{manifest.NAME} ({store.name})")
        except manifest.ManifestError as error:
            failure = error
    if failure:
        raise failure
    return None


def _whole(read: Manifest, sizes: dict[str, int]) -> bool:
    return all(sizes.get(one.name) == one.bytes for one in read.objects)


def _mark(stores: Sequence[Store], listings: dict[str, dict[str, dict[str, int]]], identity: str, name: str) -> str:
    """When it was verified or restored; the last time that any copy's mark tells."""
    times = []
    for store in stores:
        data = store.get(identity, name) if name in listings[store.name][identity] else None
        if data is not None:
            times.append(str(json.loads(data).get("time", "")))
    return max(times, default="")


def mark(store: Store, identity: str, name: str, facts: dict[str, Any]) -> None:
    """Note beside a backup what was done with it; its manifest is never rewritten."""
    store.put(identity, name, (json.dumps(facts, indent=2, sort_keys=True) + "\n").encode())


def pick(backups: Sequence[Backup], wanted: str, spec: Spec) -> Backup:
    """The backup of that id, or the newest complete one."""
    if wanted == LATEST:
        complete = [one for one in backups if one.complete]
        if complete:
            return complete[-1]
        raise SlipwayError(
            f"The stack {spec.stack} has no backup of kind {spec.kind}.",
            hint=f"Make one with: slipway backup run {spec.stack} --kind {spec.kind}",
        )
    for one in backups:
        if one.id == wanted:
            return one
    raise SlipwayError(
        f"The stack {spec.stack} has no backup {wanted!r} of kind {spec.kind} (or it has no manifest and so is none).",
        hint=f"List them with: {manifest.list_command(spec.stack, spec.kind, spec.of)}",
    )


def best_copy(backup: Backup, stores: Sequence[Store]) -> Store:
    """The copy to read: the bucket's for a proof, as that is the one which must be good when the host is lost."""
    for store in stores:
        if backup.copies.get(store.name):
            return store
    raise SlipwayError(
        f"No copy of backup {backup.id} is complete: an object is missing or has another size than its manifest says.",
        hint=f"Choose another one: {backup.manifest.others()}",
    )
