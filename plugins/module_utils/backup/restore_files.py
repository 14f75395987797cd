# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Folders and volumes back from a backup: beside first, and only when all of them are whole, into place."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

from ..common.errors import SlipwayError
from ..common.events import Emitter
from ..common.lock import FileLock
from ..release.paths import StackPaths
from . import containers, restoration
from .kinds.files import ENVIRONMENT, Files
from .restoration import BESIDE, IN_PLACE, Found, Request
from .restore import maintenance
from .source import Command
from .spec import STATE_DIRECTORY, Spec


def plan(spec: Spec, request: Request) -> dict[str, Any]:
    """What a restore would do; found out before anything is touched."""
    found, targets = _plan(spec, request)
    return _told(found, request, targets)


def _plan(spec: Spec, request: Request) -> tuple[Found, dict[str, Path]]:
    found = restoration.find(spec, request)
    if request.target == BESIDE:
        place = restoration.fresh_directory(spec, request, found.backup.id)
        restoration.refuse_full_disk(place, found.bytes())
        return found, {name: place / name for name in found.contents}
    if spec.kind != Files.name:
        raise SlipwayError(
            f"A backup of kind {spec.kind} is not restored into place: it would undo newer releases and certificates.",
            hint="Restore it beside and copy what is wanted.",
        )
    targets = _live(found)
    # Volumes may share a file system: each has to hold what all of them need, which is never too little.
    for place in targets.values():
        restoration.refuse_full_disk(place.parent, found.bytes())
    return found, targets


def _live(found: Found) -> dict[str, Path]:
    known = Files(found.spec).folders()
    missing = [name for name in found.contents if name not in known]
    if missing:
        raise SlipwayError(
            f"The stack {found.spec.stack} uses no {', '.join(missing)} now.",
            hint="Deploy the release that does, choose other contents, or restore beside.",
        )
    targets = {name: Path(known[name]).resolve() for name in found.contents}
    mounted = [str(place) for place in targets.values() if place.is_mount()]
    if mounted:
        raise SlipwayError(
            f"{', '.join(mounted)} is a file system of its own and cannot be exchanged by its name.",
            hint="Restore beside and copy the files.",
        )
    return targets


def _told(found: Found, request: Request, targets: dict[str, Path]) -> dict[str, Any]:
    return {
        "id": found.backup.id,
        "kind": found.spec.kind,
        "created": found.backup.manifest.snapshot_time,
        "store": found.store.name,
        "target": request.target,
        "places": {name: str(place) for name, place in targets.items()},
        "bytes": found.bytes(),
    }


def run(spec: Spec, request: Request, emitter: Emitter) -> dict[str, Any]:
    started = time.monotonic()
    with FileLock(STATE_DIRECTORY / "lock", wait=spec.lock_wait, what=f"restore {spec.stack} ({spec.kind})"):
        with emitter.phase("preflight"):
            found, targets = _plan(spec, request)
        into, made = targets, {place.parent for place in targets.values()}
        if request.target == IN_PLACE:
            into = {name: restoration.beside(place, "restored", found.backup.id) for name, place in targets.items()}
            made = set(into.values())
        result = {**_told(found, request, targets), "before": []}
        try:
            with emitter.phase("restore"):
                for name, place in into.items():
                    # Whatever the modes inside are: nobody else looks into what is only beside.
                    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                    place.mkdir(mode=0o700)
                    restoration.unpack(found, name, extraction(place), emitter)
            if request.target == IN_PLACE:
                with emitter.phase("swap"):
                    result["before"] = _into_place(found, request, targets, into, emitter)
        except BaseException:
            for place in made:
                shutil.rmtree(place, ignore_errors=True)
            raise
        restoration.mark(found, request)
    return {"restore": {**result, "seconds": round(time.monotonic() - started, 2)}, "changed": True}


def trial(spec: Spec, identity: str, directory: Path, emitter: Emitter) -> None:
    """Unpack a backup beside as a restore does, and keep nothing."""
    with emitter.phase("preflight"):
        found, targets = _plan(spec, Request(id=identity, directory=str(directory)))
    directory.mkdir(mode=0o700, parents=True)
    try:
        with emitter.phase("restore"):
            for name, place in targets.items():
                place.mkdir(mode=0o700)
                restoration.unpack(found, name, extraction(place), emitter)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _into_place(
    found: Found, request: Request, targets: dict[str, Path], fresh: dict[str, Path], emitter: Emitter
) -> list[str]:
    """A container keeps the folder that it was started with, so those that see one are stopped meanwhile."""
    lock = FileLock(StackPaths(found.spec.stack).lock, wait=found.spec.lock_wait, what=f"restore {found.spec.stack}")
    with lock, containers.engine() as client:
        users = containers.using(client, list(targets.values()))
        with maintenance(request.maintenance_file), containers.stopped(users):
            kept = restoration.exchange([(targets[name], fresh[name]) for name in targets], found.backup.id)
            # Told now: a container that does not start again would end the job without its result.
            emitter.info(f"What was replaced is kept as {', '.join(kept)}.")
            return kept


def extraction(place: Path) -> Command:
    return Command(
        (
            *("tar", "--extract", "--file=-", "--numeric-owner", "--same-owner", "--same-permissions"),
            *("--xattrs", "--xattrs-include=*", "--acls", f"--directory={place}"),
        ),
        ENVIRONMENT,
    )


def contents(spec: Spec, identity: str) -> str:
    """Every name in a backup, as `tar --list --verbose` shows it."""
    found = restoration.find(spec, Request(id=identity))
    lister = Command(("tar", "--list", "--verbose", "--numeric-owner", "--file=-"), ENVIRONMENT)
    texts = [f"{name}:\n{restoration.listing(found, name, lister).decode(errors='replace')}" for name in found.contents]
    return "\n".join(texts)
