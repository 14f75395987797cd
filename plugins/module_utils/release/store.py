# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""State and releases on disk, every write durable before it is relied upon."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..common.errors import SlipwayError
from ..common.files import read_json, remove, reserve, write_atomic, write_json
from . import dotenv, record, state
from .paths import StackPaths
from .record import Record
from .state import State

DIRECTORIES = {"": 0o755, "files": 0o755, "slots": 0o755, "pages": 0o755, "releases": 0o700, "data": 0o700}
SECRET_MODE = 0o600
RESERVE_BYTES = 256 * 1024


class Store:
    """What is kept of one stack."""

    def __init__(self, paths: StackPaths) -> None:
        self.paths = paths

    def prepare(self) -> None:
        """The directories. Nginx's workers have to reach the flags, and nobody else the releases."""
        for name, mode in DIRECTORIES.items():
            place = self.paths.root / name
            place.mkdir(parents=True, exist_ok=True)
            if place.stat().st_mode & 0o7777 != mode:
                place.chmod(mode)

        self.keep_reserve()

    def keep_reserve(self) -> None:
        """Room in which a release can be taken back when it has filled the disk."""
        # A disk that is full already is found by the preflight, and must not keep a host from booting.
        with contextlib.suppress(OSError):
            reserve(self.paths.reserve, RESERVE_BYTES)

    def free_reserve(self) -> None:
        self.paths.reserve.unlink(missing_ok=True)

    def state(self) -> State:
        return state.load(self.paths.stack, read_json(self.paths.state))

    def save(self, new: State) -> State:
        write_json(self.paths.state, state.dump(new), SECRET_MODE)
        return new

    def numbers(self) -> list[int]:
        """Releases that are kept, oldest first."""
        if not self.paths.releases.is_dir():
            return []
        names = (entry.name for entry in self.paths.releases.iterdir() if (entry / "release.json").exists())
        return sorted(int(name) for name in names if name.isdigit())

    def write(self, release: Record, overrides: Mapping[str, Mapping[str, Any]]) -> None:
        """The release directory; release.json last, so that a half-written one is no release."""
        place = self.paths.release(release.number)
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomic(place / "compose.yml", release.spec.compose, SECRET_MODE)
        for name, document in overrides.items():
            write_json(place / f"override.{name}.json", document, SECRET_MODE)
        write_json(place / "images.json", dict(release.images), SECRET_MODE)
        write_json(place / "secrets.json", dict(release.spec.secrets), SECRET_MODE)
        write_atomic(place / "env", dotenv.render(release.spec.values), SECRET_MODE)
        self.write_record(release)

    def write_record(self, release: Record) -> None:
        write_json(self.paths.release(release.number) / "release.json", record.dump(release), SECRET_MODE)

    def write_run(self, release: Record, values: Mapping[str, str], overrides: Mapping[str, Mapping[str, Any]]) -> None:
        """What a kept release runs with from now on; the secrets it was released with stay beside it."""
        place = self.paths.release(release.number)
        for name, document in overrides.items():
            write_json(place / f"override.{name}.json", document, SECRET_MODE)
        write_atomic(place / "env", dotenv.render(values), SECRET_MODE)

    def write_request(self, number: int, request: Mapping[str, Any]) -> None:
        """What was asked for, so that the same can be released again under another name."""
        write_json(self.paths.release(number) / "request.json", dict(request), SECRET_MODE)

    def last_request(self) -> dict[str, Any]:
        """That of the newest release that served."""
        for release in reversed(self.all()):
            found = read_json(self.paths.release(release.number) / "request.json")
            if release.served and found:
                return dict(found)
        raise SlipwayError(
            f"No release of {self.paths.stack} served yet that could be repeated under another name.",
            hint="Deploy it once with: ansible-playbook slipway.vps.deploy",
        )

    def mark_served(self, release: Record) -> Record:
        served = replace(release, served=True)
        self.write_record(served)
        return served

    def read(self, number: int) -> Record:
        place = self.paths.release(number)
        try:
            return record.load(
                json.loads((place / "release.json").read_text(encoding="utf-8")),
                (place / "compose.yml").read_text(encoding="utf-8"),
                read_json(place / "secrets.json", {}),
                read_json(place / "images.json", {}),
            )
        except FileNotFoundError as error:
            raise SlipwayError(
                f"Release number {number} of {self.paths.stack} is not kept on this host.",
                hint=f"List what is with: slipway release list {self.paths.stack}",
            ) from error

    def values(self, number: int) -> dict[str, str]:
        """The variables that the release runs with."""
        return dotenv.parse((self.paths.release(number) / "env").read_text(encoding="utf-8"))

    def override(self, number: int, slot: str) -> dict[str, Any] | None:
        """The generated Compose file of a slot."""
        found: dict[str, Any] | None = read_json(self.paths.release(number) / f"override.{slot}.json")
        return found

    def all(self) -> list[Record]:
        return [self.read(number) for number in self.numbers()]

    def remove(self, number: int) -> None:
        """release.json first, so that a half-removed one is no release."""
        place = self.paths.release(number)
        if place.is_dir():
            remove(place / "release.json")
            shutil.rmtree(place)

    def leftovers(self) -> list[int]:
        """Directories that are no release: one was cut off while it was written or removed."""
        if not self.paths.releases.is_dir():
            return []
        names = {int(entry.name) for entry in self.paths.releases.iterdir() if entry.name.isdigit()}
        return sorted(names - set(self.numbers()))
