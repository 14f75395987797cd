# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The first half: the host gets the lost one's releases, secrets and certificates, before anything is configured."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ..backup import restoration, restore_files
from ..backup import spec as specs
from ..backup.kinds.state import SHARED, STACK
from ..backup.wal.archive import moment, parse_moment
from ..common.errors import SlipwayError
from ..common.events import Emitter
from ..common.files import fsync_directory, touch
from ..release.paths import StackPaths
from . import journal
from .journal import Journal
from .survey import STATE, Survey, survey

CERTIFICATES = "certificates"
NO_STATE = (
    "The releases, secrets and certificates of the lost server are in no backup: the release of this inventory is "
    "deployed, and its certificates are asked for anew. Set backup_age_recipients to have them backed up."
)


def begin(request: Mapping[str, Any], emitter: Emitter) -> dict[str, Any]:
    """Choose the backups and bring the state back; a host that serves already is refused."""
    stack = str(request["stack"])
    known = journal.read(stack)
    if known and known.state is not None:
        return {"changed": False, "recovery": told(known)}
    paths = StackPaths(stack)
    with emitter.phase("survey"):
        if known is None:
            refuse_living(paths)
            known = choose(request)
            journal.write(known)
    for warning in known.warnings:
        emitter.info(warning)
    with emitter.phase("state"):
        state = _restore(known, paths, str(request.get("identity_file") or ""), emitter)
        paths.root.mkdir(mode=0o755, parents=True, exist_ok=True)
        # Nobody may write into a database that is about to be replaced.
        known = replace(known, maintenance=known.maintenance or touch(paths.maintenance), state=state)
        journal.write(known)
    return {"changed": True, "recovery": told(known)}


def plan(request: Mapping[str, Any]) -> dict[str, Any]:
    """For check mode: what would come back."""
    stack = str(request["stack"])
    known = journal.read(stack)
    if known is None:
        refuse_living(StackPaths(stack))
        known = choose(request)
    return told(known)


def choose(request: Mapping[str, Any]) -> Journal:
    stack = str(request["stack"])
    time = str(request.get("time") or "")
    if time and parse_moment(time) is None:
        raise SlipwayError(
            f"The moment {time!r} is not a time with its offset from UTC.",
            hint="Write it like 2026-11-21T12:00:00+00:00, or leave it out for the newest.",
        )
    found: Survey = survey(
        stack, identity_file=str(request.get("identity_file") or ""), time=time, ids=request.get("ids") or {}
    )
    # What is unpacked is larger than what is stored; the restores themselves look again, each for its own.
    restoration.refuse_full_disk(journal.PLACE, found.bytes)
    missing = [one for one in found.missing if STATE not in one]
    return Journal(
        stack=stack,
        started=moment(datetime.now(timezone.utc)),
        chosen={kind: one.id for kind, one in found.choices.items()},
        time=time,
        warnings=tuple(missing if STATE in found.choices else [*missing, NO_STATE]),
    )


def told(known: Journal) -> dict[str, Any]:
    return {
        "stack": known.stack,
        "started": known.started,
        "chosen": dict(known.chosen),
        "state": bool(known.state),
        "done": dict(known.done),
        "warnings": list(known.warnings),
        "finished": known.finished or None,
    }


def refuse_living(paths: StackPaths) -> None:
    if paths.state.exists():
        raise SlipwayError(
            f"This host has a stack {paths.stack} already ({paths.state}); a recovery is for a bare one.",
            hint="To replace the data of a living server use restore.yml; to begin anew, remove.yml.",
        )


def _restore(known: Journal, paths: StackPaths, identity_file: str, emitter: Emitter) -> dict[str, Any]:
    """Unpacked beside, then the stack's folder gets its name and certificates that are missing are put in."""
    if STATE not in known.chosen:
        return {}
    beside = paths.root.with_name(f".slipway-recover-{paths.stack}")
    shutil.rmtree(beside, ignore_errors=True)
    wanted = restoration.Request(id=known.chosen[STATE], directory=str(beside), identity_file=identity_file)
    try:
        result: dict[str, Any] = restore_files.run(specs.load(paths.stack, STATE), wanted, emitter)["restore"]
        if (beside / CERTIFICATES).is_dir():
            fill(beside / CERTIFICATES, SHARED[CERTIFICATES])
        _take_place(beside / STACK, paths)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return {"id": result["id"], "created": result["created"]}


def _take_place(source: Path, paths: StackPaths) -> None:
    """What an earlier try left has no state.json, so it is nothing that serves."""
    if not (source / paths.state.name).is_file():
        raise SlipwayError(
            f"The backup of the state of {paths.stack} holds no release.",
            hint="Take an older one: -e recover_ids={state: ID}; slipway backup list shows them.",
        )
    if paths.root.exists():
        shutil.rmtree(paths.root)
    os.rename(source, paths.root)
    fsync_directory(paths.root.parent)


def fill(source: Path, target: Path) -> None:
    """Copy what is not there, with owners, modes and links; what is there stays as it is."""
    for folder, names, files in os.walk(source):
        here = target / Path(folder).relative_to(source)
        if not here.exists():
            here.mkdir(parents=True)
            _like(Path(folder), here)
        links = [name for name in names if (Path(folder) / name).is_symlink()]
        for name in [*files, *links]:
            one = here / name
            if not one.is_symlink() and not one.exists():
                shutil.copy2(Path(folder) / name, one, follow_symlinks=False)
                _like(Path(folder) / name, one)


def _like(source: Path, target: Path) -> None:
    about = source.lstat()
    os.chown(target, about.st_uid, about.st_gid, follow_symlinks=False)
    if not source.is_symlink():
        target.chmod(about.st_mode & 0o7777)
