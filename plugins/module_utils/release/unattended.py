# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Releases that ended by themselves while nobody listened: the next run says how."""

from __future__ import annotations

from ..agent import jobs
from . import history

KINDS = ("release.",)


def sentences(stack: str, *, tell: bool) -> list[str]:
    """One for each; with `tell` they count as told."""
    found = []
    for seen in jobs.untold(stack, KINDS):
        found.append(_sentence(stack, seen))
        if tell:
            jobs.tell(seen.job)
    return found


def _sentence(stack: str, seen: jobs.JobView) -> str:
    about = jobs.note(seen.job)
    what = f"The {about['label']} (job {seen.job}) lost its controller and ended by itself"
    if seen.state == "succeeded":
        result = seen.result or {}
        return (
            f"{what}: release {result.get('release_name')} (number {result.get('release')}) was put into service "
            f"in slot {result.get('slot')}."
        )
    if seen.state == "failed":
        return f"{what}: {(seen.error or {}).get('message', 'it failed.')}"
    return f"{what}: it was cut off with its host. {history.how_it_stands(stack)}"
