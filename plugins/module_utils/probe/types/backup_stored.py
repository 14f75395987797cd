# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the bucket itself says of a stack's backups: a note on the host outlives objects that somebody deleted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, ClassVar

from ...common import validate
from ..context import Context
from ..option import Option
from ..result import OK, WARN, Outcome, fail, limits, ok
from .backup_age import HOUR, BackupAge, due, size
from .base import ProbeType
from .systemd import span

if TYPE_CHECKING:
    from ...backup.manifest import Manifest
    from ...backup.store import Store

# So many of the newest are looked at for one that is whole.
LOOKED_AT = 5


class BackupStored(ProbeType):
    name = "backup_stored"
    summary = "The bucket holds a whole backup of a stack that is young enough: a manifest and all that it names."
    target = "the stack's name. The probe runs on the stack's host, which knows the bucket."
    options: ClassVar[dict[str, Option]] = {
        name: BackupAge.options[name] for name in ("kind", "warn_hours", "fail_hours")
    }

    def check(self) -> None:
        validate.stack_name(self.probe.target)

    def expected(self) -> str:
        limit = self.option("fail_hours")
        return "a whole backup in the bucket, " + (f"under {limit:g} h old" if limit else "in time")

    def run(self, context: Context) -> Outcome:
        # Imported where it is used: the engine of backups is large, and most runs have no probe of one.
        from ...backup import spec
        from ...backup.store import stores

        stack, kind = self.probe.target, self.option("kind")
        known = spec.load(stack, kind)
        if not known.s3:
            return fail("its backups go to no bucket", "Set backup_s3_bucket, or leave this probe out.")
        bucket = replace(known.s3, connect_timeout=context.connect_timeout, read_timeout=context.remaining(), retries=1)
        [store] = stores(replace(known, s3=bucket, local_directory=""))
        hours = {name: self.option(name) or value for name, value in due(stack, kind).items()}
        return self._judge(list(_newest(store)), datetime.now(timezone.utc), **hours)

    def _judge(
        self, newest: list[tuple[Manifest, bool]], now: datetime, warn_hours: float, fail_hours: float
    ) -> Outcome:
        from ...backup.manifest import parse_moment

        run = f"slipway backup run {self.probe.target} --kind {self.option('kind')}"
        if not newest:
            return fail("the bucket holds no backup", run)
        whole = next((manifest for manifest, complete in newest if complete), None)
        damaged = [
            manifest.id for manifest, complete in newest if not complete and (not whole or manifest.id > whole.id)
        ]
        missing = f"of {', '.join(damaged)} objects are missing or have another size" if damaged else ""
        if whole is None:
            return fail(f"the bucket holds no whole backup: {missing}", run, damaged=damaged)
        age = max(0.0, (now - parse_moment(whole.snapshot_time)).total_seconds())
        observed: dict[str, Any] = {"id": whole.id, "age_hours": round(age / HOUR, 2), "bytes": whole.total_bytes()}
        text = f"{span(age)} old, {size(whole.total_bytes())} in {len(whole.objects)} objects"
        status = limits(age / HOUR, warn_hours, fail_hours)
        if status == OK and damaged:
            status, text = WARN, f"{text}, but {missing}"
        return ok(text, **observed) if status == OK else Outcome(status, text, run, {**observed, "damaged": damaged})


def _newest(store: Store) -> Iterator[tuple[Manifest, bool]]:
    """The newest backups that have a manifest, and whether all that it names is there; up to the first whole one."""
    from ...backup import manifest

    listing = store.listing()
    sealed = sorted((one for one, sizes in listing.items() if manifest.NAME in sizes), reverse=True)
    for identity in sealed[:LOOKED_AT]:
        data = store.get(identity, manifest.NAME)
        if data is None:
            continue
        found = manifest.parse(data, f"{identity}/{manifest.NAME} ({store.name})")
        complete = all(listing[identity].get(one.name) == one.bytes for one in found.objects)
        yield found, complete
        if complete:
            return
