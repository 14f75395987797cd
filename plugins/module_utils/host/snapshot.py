# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A file as it was, and the one way in which a file takes its place: at once, whole and with its owner."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..common.files import fsync_directory, remove


@dataclass(frozen=True)
class Snapshot:
    """Enough to put a file back; no content means that there was none."""

    path: str
    content: bytes | None
    mode: int = 0
    uid: int = 0
    gid: int = 0

    @classmethod
    def take(cls, path: str) -> Snapshot:
        try:
            status = os.stat(path)
            return cls(path, Path(path).read_bytes(), stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid)
        except FileNotFoundError:
            return cls(path, None)

    def text(self) -> str:
        return "" if self.content is None else self.content.decode("utf-8", errors="replace")

    def put_back(self) -> None:
        if self.content is None:
            remove(self.path)
        else:
            replace(self.path, self.content, self.mode, self.uid, self.gid)


def replace(
    path: str, content: bytes, mode: int, uid: int, gid: int, validate: Callable[[str], None] | None = None
) -> None:
    """Write beside it, let `validate` look at the new file, and only then let it take its place."""
    directory, name = os.path.split(path)
    descriptor, temporary = tempfile.mkstemp(prefix=f".{name}.", dir=directory)
    try:
        with os.fdopen(descriptor, "wb") as handle:
            os.fchown(handle.fileno(), uid, gid)
            os.fchmod(handle.fileno(), mode)
            handle.write(content)
            handle.flush()
            os.fsync(handle.fileno())
        if validate:
            validate(temporary)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    fsync_directory(directory)
