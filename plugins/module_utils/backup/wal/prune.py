# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which segments nobody needs any more: those before the oldest base backup that is kept."""

from __future__ import annotations

from collections.abc import Sequence

from ...common.errors import SlipwayError
from ..spec import Spec
from .archive import Archive
from .base import BaseBackup, known_bases
from .segments import Segment


def plan(names: Sequence[str], bases: Sequence[BaseBackup], system: str, current: str) -> list[str]:
    """The segments of one database system that may go, oldest first. Pure.

    A system without any base backup keeps all of its log, unless it is one of the past: its last base backup went
    with the retention.
    """
    mine = [one for one in bases if one.system == system]
    if not mine:
        return sorted(names) if bases and system != current else []
    oldest = min(mine, key=lambda one: one.first)
    parsed = [(name, Segment.parse(name, oldest.segment_bytes)) for name in names]
    return sorted(name for name, one in parsed if one and one.number < oldest.first)


def run(spec: Spec, current: str, warnings: list[str]) -> int:
    """Delete them; returns how many went. A base backup that cannot be read keeps everything."""
    if spec.keep_s3.keeps_everything:
        return 0
    damaged: list[str] = []
    try:
        bases = known_bases(spec, damaged)
    except SlipwayError as error:
        damaged.append(str(error))
    if damaged:
        warnings.append(f"No log was deleted: {' '.join(damaged)}")
        return 0
    archive = Archive(spec)
    gone = 0
    try:
        for system in archive.systems():
            listing = archive.listing(system)
            for group in (listing.segments, listing.partials):
                for name in plan(list(group), bases, system, current):
                    archive.delete(group[name].key)
                    gone += 1
    except SlipwayError as error:
        # A bucket that does not allow deletion keeps its own rules.
        warnings.append(f"Old log was not deleted: {error}")
    return gone
