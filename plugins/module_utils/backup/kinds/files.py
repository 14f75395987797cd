# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Named volumes and folders of a stack, one tar archive each, which any tar can read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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

# A file that changes while it is read is archived as it was read, one that vanishes is left out; tar says so with 1.
CHANGED_WHILE_READ = 1
ENVIRONMENT = {"LC_ALL": "C"}


class Files:
    name = "files"

    def __init__(self, spec: Spec) -> None:
        self.spec = spec

    def folders(self) -> dict[str, str]:
        """What the backup calls it -> where it is on this host."""
        return volumes.folders(self.spec.stack, self.spec.settings)

    def excluded(self) -> dict[str, tuple[str, ...]]:
        """For a folder by its name: what below it is left out."""
        return {}

    def describe(self) -> str:
        return f"files and volumes of {self.spec.stack}"

    @contextmanager
    def open(self, emitter: Emitter) -> Iterator[Archives]:
        folders = self.folders()
        if not folders:
            raise SlipwayError(
                f"There is nothing to back up as {self.describe()}: no volume, no project directory, no folder.",
                hint="Deploy the stack first, or set backup_files_enabled to false.",
            )
        missing = [place for place in folders.values() if not Path(place).is_dir()]
        if missing:
            raise SlipwayError(
                f"What should be backed up is no directory here: {', '.join(missing)}.",
                hint="Correct backup_files_folders, or deploy the stack first.",
            )
        yield Archives(folders, self.excluded())

    def prove(self, store: Store, known: Manifest, emitter: Emitter) -> None:
        """Checksums of what is stored and of what was archived, and tar's own reading of every header."""
        for content in known.contents:
            with reader.opened(self.spec, store, known, content) as pipeline, Consumer(listing()) as program:
                for chunk in pipeline:
                    program.write(chunk)
                pipeline.finish()
                reader.confirm(known, content, pipeline)
                program.finish()


class Archives:
    def __init__(self, folders: Mapping[str, str], excluded: Mapping[str, tuple[str, ...]]) -> None:
        self._folders = folders
        self._excluded = excluded
        self._taken = manifest.moment(datetime.now(timezone.utc))

    def parts(self) -> Iterator[Part]:
        for name, place in self._folders.items():
            yield Part(f"{name}.tar", name, archive(place, self._excluded.get(name, ())))

    def facts(self) -> dict[str, Any]:
        return {"snapshot_time": self._taken, "details": {"folders": dict(self._folders)}}


def archive(place: str, excluded: tuple[str, ...] = ()) -> Command:
    """Everything below a directory, named from there, with owners by number, holes as holes, links as links."""
    return Command(
        (
            *("tar", "--create", "--file=-", "--format=posix", "--numeric-owner", "--xattrs", "--acls", "--sparse"),
            # A socket cannot be archived, and the program that listens makes it again.
            "--warning=no-file-ignored",
            *("--anchored", "--no-wildcards", *(f"--exclude=./{name}" for name in excluded)),
            *(f"--directory={place}", "."),
        ),
        ENVIRONMENT,
        accepted=frozenset({0, CHANGED_WHILE_READ}),
    )


def listing() -> Command:
    return Command(("tar", "--list", "--file=-"), ENVIRONMENT)
