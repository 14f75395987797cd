# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which backups still hold a tenant, and until when their retention keeps them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from datetime import timedelta
from typing import Any

from ..backup import catalog, manifest
from ..backup import spec as backup_spec
from ..backup import store as backup_store
from ..backup.catalog import Backup
from ..backup.retention import Policy
from ..backup.spec import Spec
from .target import KIND

# Whole databases: by dump, and as base backups with the log that follows them.
DATABASE_KINDS = ("postgres", "base")
FOREVER = "until somebody removes it"
DAYS = {"hourly": timedelta(hours=1), "daily": timedelta(days=1), "weekly": timedelta(days=7), "monthly": timedelta(31)}


def holders(exports: Spec, slugs: Sequence[str], schemas: Sequence[str], created: str) -> list[dict[str, Any]]:
    """Backups of the stack's database and exports of the tenant, under each slug that it ever had."""
    found: list[dict[str, Any]] = []
    for spec in _specs(exports, slugs):
        for backup in catalog.entries(backup_store.stores(spec)):
            if spec.kind == KIND or _holds(backup, schemas, created):
                found.append(_line(spec, backup))
    return found


def _specs(exports: Spec, slugs: Sequence[str]) -> Iterator[Spec]:
    if exports.stack in backup_spec.configured():
        for kind in backup_spec.kinds(exports.stack):
            if kind in DATABASE_KINDS:
                yield backup_spec.load(exports.stack, kind)
    for slug in slugs:
        yield replace(exports, of=slug)


def _holds(backup: Backup, schemas: Sequence[str], created: str) -> bool:
    """By the tables in the manifest; where none are listed, by the tenant's age."""
    known = backup.manifest
    if known.tables and known.row_counts:
        return any(table.startswith(tuple(f"{schema}." for schema in schemas)) for table in known.tables)
    return known.snapshot_time >= created


def _line(spec: Spec, backup: Backup) -> dict[str, Any]:
    policies = {"s3": spec.keep_s3, "local": spec.keep_local}
    return {
        "kind": spec.kind,
        "id": backup.id,
        "created": backup.manifest.snapshot_time,
        "encrypted": backup.manifest.encryption != "none",
        "kept": {
            store: {"until": kept_until(backup, policies[store]), "policy": _shown(policies[store])}
            for store in sorted(backup.copies)
        },
    }


def kept_until(backup: Backup, policy: Policy) -> str:
    """The earliest moment at which the retention lets go of it (a newer verified backup has to be there as well)."""
    if policy.keeps_everything:
        return FOREVER
    spans = [timedelta(days=policy.days), *(span * getattr(policy, name) for name, span in DAYS.items())]
    return manifest.moment(backup.created + max(spans))


def _shown(policy: Policy) -> dict[str, int]:
    return {name: count for name, count in asdict(policy).items() if count}
