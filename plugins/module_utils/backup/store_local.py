# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Copies on the host: a directory a backup, renamed into place once it is whole."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from ..common.errors import SlipwayError
from ..common.files import fsync_directory, remove, write_atomic
from . import manifest

CHUNK = 1024 * 1024
PARTIAL = ".partial"


class LocalSink:
    def __init__(self, path: Path) -> None:
        self.path = path
        with _explained(path):
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)

    def write(self, data: bytes) -> None:
        with _explained(self.path):
            view = memoryview(data)
            while view:
                view = view[os.write(self._file, view) :]

    def finish(self) -> None:
        with _explained(self.path):
            os.fsync(self._file)
        self._close()

    def abort(self) -> None:
        self._close()
        with suppress(FileNotFoundError):
            os.unlink(self.path)

    def _close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


class LocalStore:
    name = "local"

    def __init__(self, directory: str | Path) -> None:
        self.directory = Path(directory)

    def check(self) -> None:
        with _explained(self.directory):
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    def sink(self, identity: str, name: str) -> LocalSink:
        place = self._partial(identity)
        with _explained(place):
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
        return LocalSink(place / name)

    def confirm(self, identity: str) -> str:
        return "fsync"

    def commit(self, identity: str, data: bytes) -> None:
        place = self._partial(identity)
        with _explained(place):
            write_atomic(place / manifest.NAME, data.decode(), 0o600)
            fsync_directory(place)
            os.rename(place, self.directory / identity)
            fsync_directory(self.directory)

    def tidy(self, identity: str) -> None:
        """Nothing is repeated here."""

    def strays(self) -> set[str]:
        if not self.directory.is_dir():
            return set()
        partial = [one.name[1:].removesuffix(PARTIAL) for one in self.directory.glob(f".*{PARTIAL}")]
        bare = [name for name, files in self.listing().items() if manifest.NAME not in files]
        return {name for name in (*partial, *bare) if manifest.is_id(name)}

    def discard(self, identity: str) -> None:
        for place in (self._partial(identity), self.directory / identity):
            with _explained(place), suppress(FileNotFoundError):
                shutil.rmtree(place)

    def listing(self) -> dict[str, dict[str, int]]:
        if not self.directory.is_dir():
            return {}
        return {
            entry.name: {one.name: one.stat().st_size for one in entry.iterdir()}
            for entry in self.directory.iterdir()
            if manifest.is_id(entry.name)
        }

    def read(self, identity: str, name: str, size: int) -> Iterator[bytes]:
        path = self.directory / identity / name
        with _explained(path), path.open("rb") as handle:
            while chunk := handle.read(CHUNK):
                yield chunk

    def get(self, identity: str, name: str) -> bytes | None:
        try:
            return (self.directory / identity / name).read_bytes()
        except FileNotFoundError:
            return None

    def put(self, identity: str, name: str, data: bytes) -> None:
        with _explained(self.directory):
            write_atomic(self.directory / identity / name, data.decode(), 0o600)

    def delete(self, identity: str) -> None:
        with _explained(self.directory / identity):
            # Without its manifest it is no backup any more, whatever happens to the rest.
            remove(self.directory / identity / manifest.NAME)
            shutil.rmtree(self.directory / identity)
            fsync_directory(self.directory)

    def _partial(self, identity: str) -> Path:
        return self.directory / f".{identity}{PARTIAL}"


class _explained:
    """Turns a failing disk into a sentence."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError):
            raise SlipwayError(
                f"The local copy {self.path} cannot be used: {error.strerror}.",
                hint="Look at `df -h` and at the directory's rights, then run `slipway backup run` again.",
            ) from error
