# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the bucket holds for a restore, read into the plan's terms, and the log fetched and looked at."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from pathlib import Path

from ...common.errors import SlipwayError
from ...common.events import Emitter
from ..filters import Age
from ..progress import Progress
from ..spec import Spec
from . import plan as plans
from .archive import COVERED, FINISHED, Archive, Listing, parse_moment
from .base import known_bases
from .packing import unpack
from .plan import Holdings, RestorePlan, Target
from .segments import HEADER, Segment, fault

FETCHERS = 4


class Source:
    """One stack's base backups and log, as they are in the bucket now."""

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        self._archive = Archive(spec, patient=True)
        self._listing = Listing()

    def plan(self, target: Target) -> RestorePlan:
        damaged: list[str] = []
        bases = known_bases(self._spec, damaged)
        base = plans.choose(bases, target, self._spec.stack)
        self._listing = self._archive.listing(base.system)
        histories = {
            timeline: (self._archive.get(one.key) or b"").decode() for timeline, one in self._listing.histories.items()
        }
        holdings = Holdings(
            segments=set(self._listing.segments),
            partials=set(self._listing.partials),
            histories=histories,
            covered=self._covered(base.system),
            finished=self._finished(),
        )
        made = plans.plan(base, holdings, target, datetime.now(timezone.utc))
        stored = [self._listing.segments[one.name] for one in made.segments]
        if any(one.encrypted for one in stored):
            Age((), self._spec.identity_file).back()  # refuses now what would fail later
        return made

    def _covered(self, system: str) -> datetime | None:
        """The newest moment that the shipper vouched for."""
        said = [str(self._archive.position(system).get(COVERED, ""))]
        if self._listing.partials:
            newest = self._listing.partials[max(self._listing.partials)]
            said.append((self._archive.metadata(newest.key) or {}).get(COVERED, ""))
        if self._listing.segments:
            # What a finished segment holds was committed before it was finished.
            newest = self._listing.segments[max(self._listing.segments)]
            said.append((self._archive.metadata(newest.key) or {}).get(FINISHED, ""))
        moments = [moment for moment in map(parse_moment, said) if moment]
        return max(moments, default=None)

    def _finished(self) -> Callable[[str], datetime | None]:
        known: dict[str, datetime | None] = {}

        def ask(name: str) -> datetime | None:
            if name not in known:
                facts = self._archive.metadata(self._listing.segments[name].key) or {}
                known[name] = parse_moment(facts.get(FINISHED, ""))
            return known[name]

        return ask

    def fetch(self, plan: RestorePlan, folder: Path, emitter: Emitter) -> None:
        """Every file of the log that the recovery will ask for, each of them looked at; the unfinished one renamed."""
        for one in self._listing.histories.values():
            (folder / one.name).write_bytes(self._archive.get(one.key) or b"")
        wanted = [(segment, self._listing.segments[segment.name]) for segment in plan.segments]
        if plan.partial:
            wanted.append((plan.partial, self._listing.partials[plan.partial.name]))
        progress = Progress(emitter, "fetch", len(wanted))
        with ThreadPoolExecutor(FETCHERS, thread_name_prefix="slipway-fetch") as pool:
            jobs = [
                pool.submit(self._fetch, stored.key, stored.encrypted, segment, plan.base.system, folder)
                for segment, stored in wanted
            ]
            try:
                for done, job in enumerate(jobs, 1):
                    job.result()
                    progress.at(done)
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise

    def _fetch(self, key: str, encrypted: bool, segment: Segment, system: str, folder: Path) -> None:
        data = self._archive.get(key)
        if data is None:
            raise SlipwayError(f"The segment {segment.name} went away while it was to be fetched.")
        path = folder / segment.name
        try:
            unpack(self._spec, data, path, encrypted=encrypted)
        except SlipwayError as error:
            raise SlipwayError(
                f"The segment {segment.name} in the bucket is damaged: {error.message}",
                hint="Nothing was touched. Restore to a moment before it, or after the next base backup.",
            ) from None
        with path.open("rb") as file:
            wrong = fault(file.read(HEADER.size), segment, system)
        if not wrong and path.stat().st_size != segment.size:
            wrong = f"it has {path.stat().st_size} bytes instead of {segment.size}"
        if wrong:
            raise SlipwayError(
                f"The segment {segment.name} in the bucket is damaged: {wrong}.",
                hint="Nothing was touched. Restore to a moment before it, or after the next base backup.",
            )
