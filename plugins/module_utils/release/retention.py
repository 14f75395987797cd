# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which releases are kept, and which images may go with the others. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping


def expired(releases: Iterable[int], keep: int, needed: Iterable[int]) -> list[int]:
    """Everything but the newest `keep` and those that are needed (they serve, or lie in a slot)."""
    ordered = sorted(releases, reverse=True)
    kept = {*ordered[:keep], *needed}
    return sorted(number for number in ordered if number not in kept)


def unused_images(images: Mapping[int, Mapping[str, str]], gone: Iterable[int]) -> list[str]:
    """Digests that only expired releases used."""
    leaving = set(gone)
    kept = {image for number, lock in images.items() if number not in leaving for image in lock.values()}
    candidates = {image for number in leaving for image in images.get(number, {}).values()}
    return sorted(candidates - kept)
