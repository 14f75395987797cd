# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A folder copied with owners, modes and times; a second pass copies only what changed since."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path


def mirror(source: Path, target: Path) -> set[str]:
    """Make `target` hold everything that `source` does; return the relative paths. Nothing else is removed."""
    found: set[str] = set()
    target.mkdir(parents=True, exist_ok=True)
    _directory(source, target, "", found)
    return found


def forget(target: Path, names: set[str]) -> None:
    """Remove what a later pass no longer found at the source."""
    for name in sorted(names, reverse=True):  # what is in a directory before the directory
        path = target / name
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        else:
            path.unlink(missing_ok=True)


def _directory(source: Path, target: Path, prefix: str, found: set[str]) -> None:
    for entry in os.scandir(source):
        name = f"{prefix}{entry.name}"
        found.add(name)
        if entry.is_dir(follow_symlinks=False):
            (target / entry.name).mkdir(exist_ok=True)
            _directory(Path(entry.path), target / entry.name, f"{name}/", found)
        elif entry.is_symlink() or entry.is_file(follow_symlinks=False):
            _file(Path(entry.path), target / entry.name)
        else:
            found.remove(name)  # a socket or a pipe belongs to a process, not to the data
    _attributes(source, target)


def _file(source: Path, target: Path) -> None:
    if _same(source, target):
        return
    temporary = target.with_name(f".slipway-{os.getpid()}")
    temporary.unlink(missing_ok=True)
    shutil.copy2(source, temporary, follow_symlinks=False)
    _owner(source, temporary)
    temporary.replace(target)


def _same(source: Path, target: Path) -> bool:
    try:
        there, here = source.lstat(), target.lstat()
    except FileNotFoundError:
        return False
    facts = [(s.st_mode, s.st_uid, s.st_gid, s.st_size, s.st_mtime_ns) for s in (there, here)]
    return facts[0] == facts[1] and not stat.S_ISLNK(there.st_mode)


def _attributes(source: Path, target: Path) -> None:
    _owner(source, target)
    shutil.copystat(source, target)


def _owner(source: Path, target: Path) -> None:
    known = source.lstat()
    os.chown(target, known.st_uid, known.st_gid, follow_symlinks=False)
    if not target.is_symlink():
        target.chmod(stat.S_IMODE(known.st_mode))  # a change of owner takes set-user-ID bits away
