# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Named volumes and folders of a stack, as one tar archive that any tar can read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ...common.errors import SlipwayError
from ...common.events import Emitter
from .. import manifest, reader, volumes
from ..manifest import Manifest
from ..pipeline import Consumer
from ..source import Command
from ..spec import Spec
from ..store import Store
from .base import Part

# A file that grows while it is read is archived as far as it was; tar says so with status 1.
CHANGED_WHILE_READ = 1


class Files:
    name = "files"

    def __init__(self, spec: Spec) -> None:
        self.spec = spec

    def folders(self) -> dict[str, str]:
        """What the archive calls it -> where it is on this host."""
        return volumes.folders(self.spec.stack, self.spec.settings)

    def excluded(self) -> list[str]:
        """Places below the folders that are left out."""
        return []

    def describe(self) -> str:
        return f"files and volumes of {self.spec.stack}"

    @contextmanager
    def open(self, emitter: Emitter) -> Iterator[Archive]:
        folders = self.folders()
        missing = [place for place in folders.values() if not Path(place).exists()]
        if missing:
            raise SlipwayError(
                f"What should be backed up is not there: {', '.join(missing)}.",
                hint="Correct backup_files, or deploy the stack first.",
            )
        yield Archive(folders, self.excluded())

    def prove(self, store: Store, known: Manifest, emitter: Emitter) -> None:
        """Checksums of what is stored and of what was archived, and tar's own reading of every header."""
        with reader.opened(self.spec, store, known, "files") as pipeline, Consumer(listing()) as program:
            for chunk in pipeline:
                program.write(chunk)
            pipeline.finish()
            reader.confirm_dump(known, pipeline)
            program.finish()


class Archive:
    def __init__(self, folders: dict[str, str], excluded: Sequence[str]) -> None:
        self._folders = folders
        self._excluded = excluded
        self._taken = ""

    def parts(self) -> Iterator[Part]:
        self._taken = manifest.moment(datetime.now(timezone.utc))
        yield Part("files.tar", "files", archive(self._folders, self._excluded))

    def facts(self) -> dict[str, Any]:
        return {"snapshot_time": self._taken, "details": {"folders": self._folders}}


def archive(folders: dict[str, str], excluded: Sequence[str] = ()) -> Command:
    """One archive in which every folder begins with its own name, wherever it lies on the host."""
    places = [place.lstrip("/") for place in folders.values()]
    renames = [
        f"--transform=s,^{_literal(place)}\\(/\\|$\\),{name}\\1," for name, place in zip(folders, places, strict=True)
    ]
    return Command(
        (
            *("tar", "--create", "--file=-", "--directory=/", "--numeric-owner", "--xattrs", "--acls", "--sparse"),
            *("--warning=no-file-changed", "--warning=no-file-removed", "--warning=no-file-ignored"),
            *("--anchored", "--no-wildcards", *(f"--exclude={place.lstrip('/')}" for place in excluded)),
            *renames,
            "--",
            *places,
        ),
        accepted=frozenset({0, CHANGED_WHILE_READ}),
    )


def listing() -> Command:
    return Command(("tar", "--list", "--file=-"))


def _literal(path: str) -> str:
    """A path in tar's basic regular expressions."""
    return "".join(f"\\{letter}" if letter in ".[]*^$\\," else letter for letter in path)
