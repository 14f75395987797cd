# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where backups lie: the one interface of the S3 bucket and of the local directory.

A store belongs to one stack and one kind of backup. Names inside are `<id>/<object>`; a backup exists once its
manifest does.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from .spec import Spec


class Sink(Protocol):
    """Takes one stream. Nothing of it counts before `finish`; `abort` leaves nothing behind."""

    def write(self, data: bytes) -> None: ...

    def finish(self) -> None: ...

    def abort(self) -> None: ...


class Store(Protocol):
    name: str

    def check(self) -> None:
        """Prove that the place is usable, before any work."""

    def sink(self, identity: str, name: str) -> Sink: ...

    def confirm(self, identity: str) -> str:
        """Ask the place what it holds and compare; says by what (checksum, size, fsync)."""

    def commit(self, identity: str, manifest: bytes) -> None:
        """Write the manifest, last of all: with it the backup exists."""

    def tidy(self, identity: str) -> None:
        """Remove what repeated requests left beside a backup that is whole."""

    def strays(self) -> set[str]:
        """The ids of what is there without a manifest: under way, or left by a run that was killed."""

    def discard(self, identity: str) -> None:
        """Remove what an unfinished backup left; refuses to touch one that has a manifest."""

    def listing(self) -> dict[str, dict[str, int]]:
        """For each id the names and sizes that are there, with or without a manifest."""

    def read(self, identity: str, name: str, size: int) -> Iterator[bytes]: ...

    def get(self, identity: str, name: str) -> bytes | None:
        """A small object whole, or None when there is none."""

    def put(self, identity: str, name: str, data: bytes) -> None: ...

    def delete(self, identity: str) -> None: ...


def stores(spec: Spec) -> list[Store]:
    """The stores of a stack's backups of one kind; S3 first, as the one that outlives the host."""
    from .store_local import LocalStore
    from .store_s3 import S3Store

    found: list[Store] = []
    if spec.s3:
        found.append(S3Store(spec.s3, spec.stack, spec.folder, spec.part_bytes))
    if spec.local_directory:
        found.append(LocalStore(Path(spec.local_directory) / spec.folder))
    return found
