# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A restore of what is not a database: the request, the checks before it, one content unpacked, folders exchanged."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ..common.errors import SlipwayError
from ..common.events import Emitter
from ..common.files import fsync_directory
from ..common.version import __version__
from . import catalog, filters, manifest, reader
from .catalog import Backup
from .filters import Age
from .pipeline import Consumer, Pipeline
from .progress import Progress
from .source import Command
from .spec import Spec
from .store import Store, stores

BESIDE = "beside"
IN_PLACE = "in_place"
RESTORED = Path("/var/lib/slipway/restored")
# Room that stays free for what goes on writing meanwhile.
SPARE_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True)
class Request:
    """What is wanted back, and where. Without `contents` it is all of it."""

    id: str = catalog.LATEST
    target: str = BESIDE
    contents: tuple[str, ...] = ()
    directory: str = ""
    maintenance_file: str = ""
    identity_file: str = ""

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Request:
        request = cls(
            id=str(data.get("id") or catalog.LATEST),
            target=str(data.get("target") or BESIDE),
            contents=tuple(data.get("contents") or ()),
            directory=str(data.get("directory") or ""),
            maintenance_file=str(data.get("maintenance_file") or ""),
            identity_file=str(data.get("identity_file") or ""),
        )
        if request.target not in (BESIDE, IN_PLACE):
            raise SlipwayError(f"The restore target is {request.target!r}; it is {BESIDE} or {IN_PLACE}.")
        if request.directory and (request.target == IN_PLACE or not Path(request.directory).is_absolute()):
            raise SlipwayError(
                f"The directory {request.directory!r} cannot be restored into.",
                hint="An absolute path is for the target `beside`; in place everything goes where it belongs.",
            )
        return request


@dataclass(frozen=True)
class Found:
    """The backup that is meant, the copy to read, and which of its contents."""

    spec: Spec
    backup: Backup
    store: Store
    contents: tuple[str, ...]

    def bytes(self) -> int:
        return sum(self.backup.manifest.contents[name].bytes for name in self.contents)


def find(spec: Spec, request: Request) -> Found:
    """Refuses now what would fail later: no such backup, no whole copy, no key, the wrong key, no such content."""
    spec = replace(spec, identity_file=request.identity_file or spec.identity_file)
    places = stores(spec)
    backup = catalog.pick(catalog.entries(places), request.id, spec)
    known = backup.manifest
    store = catalog.best_copy(backup, places)
    if known.encryption != reader.PLAIN:
        Age((), spec.identity_file).back()
    unknown = [name for name in request.contents if name not in known.contents]
    if unknown:
        raise SlipwayError(
            f"Backup {backup.id} does not contain {', '.join(unknown)}.",
            hint=f"It contains: {', '.join(known.contents)}.",
        )
    found = Found(spec, backup, store, request.contents or tuple(known.contents))
    reader.try_key(found.spec, store, known, found.contents[0])
    return found


def refuse_full_disk(place: Path, needed: int) -> None:
    """`place` need not be there yet."""
    there = next(path for path in (place, *place.parents) if path.exists())
    free = shutil.disk_usage(there).free
    if needed + SPARE_BYTES > free:
        raise SlipwayError(
            f"The restore needs {(needed + SPARE_BYTES) // 10**6} MB below {there}, {free // 10**6} MB are free.",
            hint="Free some space (`df -h`), or restore to another directory.",
        )


def fresh_directory(spec: Spec, request: Request, identity: str) -> Path:
    """Where a restore beside goes; never into something that is there."""
    place = Path(request.directory) if request.directory else RESTORED / spec.stack / spec.kind / identity
    if place.exists():
        raise SlipwayError(f"{place} exists already.", hint="Remove it, or give another directory.")
    return place


def unpack(found: Found, content: str, command: Command, emitter: Emitter) -> None:
    """One content through a program; it sees its end only once every checksum was right."""
    known = found.backup.manifest
    progress = Progress(emitter, f"restore of {content}", known.contents[content].bytes)
    with reader.opened(found.spec, found.store, known, content) as pipeline, Consumer(command) as program:
        for chunk in pipeline:
            program.write(chunk)
            progress.at(pipeline.outgoing.bytes)
        pipeline.finish()
        reader.confirm(known, content, pipeline)
        program.finish()


def listing(found: Found, content: str, command: Command) -> bytes:
    """What a program tells of one content."""
    known = found.backup.manifest
    chain = filters.chain(found.spec, encrypted=known.encryption != reader.PLAIN)
    with Pipeline(reader.stored(found.store, known, content), [*filters.back(chain), command]) as pipeline:
        text = b"".join(pipeline)
        pipeline.finish()
    return text


def beside(place: Path, word: str, identity: str) -> Path:
    """A free name next to a folder, on the same file system, so that a rename exchanges them."""
    names = [place.with_name(f"{place.name}.{word}-{identity}")]
    while names[-1].exists():
        names.append(place.with_name(f"{names[0].name}-{len(names) + 1}"))
    return names[-1]


def exchange(pairs: Sequence[tuple[Path, Path]], identity: str) -> list[str]:
    """Each fresh folder takes the name of the live one, which is kept; a failure gives every name back."""
    done: list[tuple[Path, Path]] = []
    try:
        for live, fresh in pairs:
            before = beside(live, "before", identity)
            for source, target in ((live, before), (fresh, live)):
                os.rename(source, target)
                done.append((source, target))
            fsync_directory(live.parent)
    except OSError as error:
        give_back(done)
        raise SlipwayError(
            f"The folders could not be exchanged: {error}.", hint="Nothing was replaced. Look at them with ls -la."
        ) from error
    return [str(target) for source, target in done if source in {live for live, _fresh in pairs}]


def give_back(done: Iterable[tuple[Path, Path]]) -> None:
    for source, target in reversed(list(done)):
        os.rename(target, source)


def mark(found: Found, request: Request, **facts: Any) -> None:
    """Note that it was restored; only ever called for all contents."""
    if set(found.contents) != set(found.backup.manifest.contents):
        return
    about = {
        "time": manifest.moment(datetime.now(timezone.utc)),
        "target": request.target,
        "slipway_version": __version__,
        **facts,
    }
    catalog.mark(found.store, found.backup.id, manifest.RESTORED, about)
