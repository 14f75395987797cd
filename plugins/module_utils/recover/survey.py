# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What of a lost server is in the bucket, and which of it comes back. Reads only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone

from ..backup import catalog, manifest, reader
from ..backup import spec as specs
from ..backup.filters import Age
from ..backup.spec import Spec
from ..backup.store import stores
from ..backup.wal import options as wal_options
from ..backup.wal.archive import moment, parse_moment
from ..backup.wal.plan import Target
from ..backup.wal.source import Source
from ..common.errors import SlipwayError

DUMP = "postgres"
LOG = wal_options.KIND
STATE = "state"
DATABASE = (LOG, DUMP)


@dataclass(frozen=True)
class Choice:
    """One backup that comes back, and the moment that it shows."""

    kind: str
    id: str
    until: str
    bytes: int


@dataclass(frozen=True)
class Survey:
    """By kind; of the database either its log or a dump. `missing` tells what is configured and not in the bucket."""

    choices: Mapping[str, Choice]
    missing: Sequence[str] = field(default_factory=list)

    @property
    def bytes(self) -> int:
        return sum(one.bytes for one in self.choices.values())


def survey(stack: str, *, identity_file: str = "", time: str = "", ids: Mapping[str, str] | None = None) -> Survey:
    """Choose; `ids` names backups that somebody wants instead of the newest."""
    wanted = dict(ids or {})
    kinds = specs.kinds(stack)
    unknown = [kind for kind in wanted if kind not in kinds]
    if unknown:
        raise SlipwayError(
            f"The stack {stack} has no backup of kind {', '.join(unknown)}.", hint=f"It has: {', '.join(kinds)}."
        )
    choices: dict[str, Choice] = {}
    missing: list[str] = []
    for kind in kinds:
        if kind in DATABASE:
            continue
        found = _newest(_spec(stack, kind, identity_file), wanted.get(kind, catalog.LATEST), time)
        if found:
            choices[kind] = found
        else:
            missing.append(f"There is no backup of kind {kind}.")
    if set(DATABASE) & set(kinds):
        database, why = _database(stack, kinds, identity_file, time, wanted)
        missing += why
        choices[database.kind] = database
    return Survey(choices, missing)


def _spec(stack: str, kind: str, identity_file: str) -> Spec:
    spec = specs.load(stack, kind)
    # The copies on the host went with it; what is there now is of the new one.
    return replace(spec, identity_file=identity_file or spec.identity_file, local_directory="")


def _newest(spec: Spec, identity: str, time: str) -> Choice | None:
    """The newest whole one, of that moment if one is given; refuses a key that does not fit."""
    if not spec.s3:
        raise SlipwayError(
            f"The backups of stack {spec.stack} ({spec.kind}) are in no bucket, so they were lost with the server.",
            hint="Set backup_s3_bucket to the one that they are in.",
        )
    places = stores(spec)
    entries = [one for one in catalog.entries(places) if one.complete]
    limit = parse_moment(time)
    if limit and identity == catalog.LATEST:
        entries = [one for one in entries if one.created <= limit]
    if not entries:
        return None
    chosen = catalog.pick(entries, identity, spec)
    if chosen.manifest.encryption != reader.PLAIN:
        Age((), spec.identity_file).back()
    return Choice(spec.kind, chosen.id, chosen.manifest.snapshot_time, chosen.manifest.total_bytes())


def _database(
    stack: str, kinds: Sequence[str], identity_file: str, time: str, wanted: Mapping[str, str]
) -> tuple[Choice, list[str]]:
    """The log if it reaches further than the newest dump; else the dump."""
    why: list[str] = []
    dump = None
    if DUMP in kinds and LOG not in wanted:
        dump = _newest(_spec(stack, DUMP, identity_file), wanted.get(DUMP, catalog.LATEST), time)
    if LOG in kinds and DUMP not in wanted:
        try:
            log = _log(_spec(stack, LOG, identity_file), wanted.get(LOG, ""), time)
            if dump is None or _at(log) >= _at(dump):
                return log, why
            why.append(f"The log is not used: it reaches {log.until}, and dump {dump.id} is of {dump.until}.")
        except SlipwayError as error:
            if dump is None:
                raise
            why.append(f"The log is not used: {error.message}")
    if dump is None:
        raise SlipwayError(
            f"The bucket has no backup of the database of {stack}, so there is nothing to recover.",
            hint="Look whether backup_s3_bucket, backup_s3_prefix and the stack's name are those of the lost server: "
            f"slipway backup list {stack}",
        )
    return dump, why


def _log(spec: Spec, identity: str, time: str) -> Choice:
    plan = Source(wal_options.checked(spec)).plan(Target(parse_moment(time), None, identity))
    until = parse_moment(time) or plan.covered or plan.base.stopped
    return Choice(LOG, plan.base.id, moment(until), plan.bytes)


def _at(choice: Choice) -> datetime:
    return parse_moment(choice.until) or manifest.parse_moment(choice.until).astimezone(timezone.utc)
