# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files that Nginx itself serves: kept with their release, and given to the slot that the release runs in.

They change over with everything else, by the same flag, and a rollback has those of its release.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from ..common.errors import SlipwayError
from .paths import StackPaths
from .record import Record
from .spec import Static

INDEX = "index.html"


def keep(paths: StackPaths, release: Record, again: int | None = None) -> None:
    """Copy what the project directory has now; `again` is the release that is made once more under another number."""
    for route in release.spec.static:
        source = paths.files / route.root if again is None else kept(paths, again, route)
        if not (source / INDEX).is_file():
            raise SlipwayError(
                f"The route {route.name} serves {source}, where no {INDEX} is.",
                hint=f"Name the folder of the build in stack_files, with dest: {route.root}.",
            )
        _copy(source, kept(paths, release.number, route))


def place(paths: StackPaths, release: Record, slot: str) -> None:
    """The slot has the files of this release, and no others."""
    _remove(paths.static / slot)
    for route in release.spec.static:
        _copy(kept(paths, release.number, route), served(paths, slot, route))
    if release.spec.static:
        _readable(paths.static)


def mend(paths: StackPaths, release: Record, slot: str) -> None:
    """What somebody took away is there again."""
    if missing(paths, release, slot):
        place(paths, release, slot)


def missing(paths: StackPaths, release: Record, slot: str) -> list[Path]:
    """Folders of the slot that should be there and are not."""
    places = [served(paths, slot, route) for route in release.spec.static]
    return [place for place in places if not (place / INDEX).is_file()]


def served(paths: StackPaths, slot: str, route: Static) -> Path:
    """Nginx looks for the whole path below its root."""
    return paths.static / slot / route.name / route.path.strip("/")


def kept(paths: StackPaths, number: int, route: Static) -> Path:
    return paths.release(number) / "static" / route.name


def _copy(source: Path, target: Path) -> None:
    _remove(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(source, target, ignore=_links)


def _remove(place: Path) -> None:
    if place.exists():
        shutil.rmtree(place)


def _links(folder: str, names: list[str]) -> list[str]:
    """A link could lead visitors to any file of the host."""
    return [name for name in names if os.path.islink(os.path.join(folder, name))]


def _readable(place: Path) -> None:
    for folder, _names, files in os.walk(place):
        Path(folder).chmod(0o755)
        for name in files:
            Path(folder, name).chmod(0o644)
