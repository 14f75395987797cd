# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Small durable file operations: what is written is either the old or the new content, also after a power loss."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

# What st_blocks counts, whatever the file system.
STAT_BLOCK = 512


def fsync_directory(path: str | Path) -> None:
    """Make a rename, a creation or a removal in `path` durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_atomic(path: str | Path, text: str, mode: int = 0o644) -> bool:
    """Replace the file; return whether its content or mode changed."""
    target = Path(path)
    if _same(target, text, mode):
        return False
    descriptor, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as handle:
            os.fchmod(handle.fileno(), mode)
            handle.write(text)
            handle.flush()
            os.fsync(handle.fileno())
        Path(temporary).replace(target)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            Path(temporary).unlink()
        raise
    fsync_directory(target.parent)
    return True


def _same(target: Path, text: str, mode: int) -> bool:
    try:
        status = target.stat()
        return (status.st_mode & 0o7777) == mode and target.read_text(encoding="utf-8") == text
    except FileNotFoundError:
        return False


def read_json(path: str | Path, default: Any = None) -> Any:
    """The parsed file, or `default` when there is none."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return default


def write_json(path: str | Path, obj: Any, mode: int = 0o600) -> bool:
    return write_atomic(path, json.dumps(obj, indent=2, sort_keys=True) + "\n", mode)


def append_line(path: str | Path, text: str, mode: int = 0o640) -> None:
    """Append one line durably; O_APPEND keeps two writers from mixing their lines."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, mode)
    try:
        os.write(descriptor, (text.rstrip("\n") + "\n").encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def reserve(path: str | Path, size: int) -> None:
    """Keep room on the file system, to be given up (by removing the file) when everything else is full."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        # By its blocks: a copy of the file may be as long and yet hold no room.
        if os.fstat(descriptor).st_blocks * STAT_BLOCK < size:
            os.posix_fallocate(descriptor, 0, size)
    finally:
        os.close(descriptor)


def touch(path: str | Path, mode: int = 0o644) -> bool:
    """Create the empty file if it is missing; return whether it was."""
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode))
    except FileExistsError:
        return False
    fsync_directory(Path(path).parent)
    return True


def remove(path: str | Path) -> bool:
    """Remove the file; return whether it was there."""
    try:
        Path(path).unlink()
    except FileNotFoundError:
        return False
    fsync_directory(Path(path).parent)
    return True
