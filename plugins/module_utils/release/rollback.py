# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which release a rollback goes back to, with which secrets, and what it must not cross. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..common.errors import SlipwayError
from .record import Record
from .state import State

RELEASE = "release"  # the secrets of that release, instead of today's


def choose(current: State, kept: Sequence[Record], wanted: str, *, force: bool) -> Record:
    """The release asked for by number or name, or the one before; or a sentence why not."""
    if current.active is None:
        raise SlipwayError(
            f"No release of {current.stack} serves, so there is nothing to roll back from.",
            hint="Deploy one first.",
        )
    served = [release for release in kept if release.served]
    if wanted:
        # A name may have been released more than once: its newest release is meant.
        matching = [release for release in served if wanted in (str(release.number), release.name)]
        chosen = max(matching, key=lambda release: release.number, default=None)
        complaint = f"No release {wanted} that served is kept."
    else:
        chosen = before(current, served)
        complaint = "No release older than the one that serves is kept."
    if chosen is None:
        raise SlipwayError(complaint, hint=f"List them with: slipway release list {current.stack}")
    if not force:
        refuse_contract(current, kept, chosen)
    return chosen


def before(current: State, kept: Sequence[Record]) -> Record | None:
    """The release that the serving one took over from. If that is gone: the newest older one that served.

    Not simply the next lower number: whoever went back from 5 to 3 and then released 6 means 3.
    """
    if current.active is None:
        return None
    older = {release.number: release for release in kept if release.served and release.number < current.active.release}
    follows = next((release.follows for release in kept if release.number == current.active.release), None)
    return older.get(follows or 0) or older.get(max(older, default=0))


def refuse_contract(current: State, kept: Sequence[Record], chosen: Record) -> None:
    """A release marked as contract took something from the database that older releases need, even if it failed."""
    crossed = next((number for number in current.contracts if number > chosen.number), None)
    if crossed is None:
        return
    label = next((release.label for release in kept if release.number == crossed), f"release number {crossed}")
    raise SlipwayError(
        f"Going back to {chosen.label} would cross {label}, which is marked as contract: it removed something from the "
        "database that older releases need.",
        hint="Restore a backup, or set stack_force if you know that it works.",
    )


def secrets(chosen: Record, today: Mapping[str, str], wish: str) -> dict[str, str]:
    """The secrets to run the release with: it knows their names, and their values are today's as far as there are."""
    if wish == RELEASE:
        return dict(chosen.spec.secrets)
    return {name: today.get(name, value) for name, value in chosen.spec.secrets.items()}
