# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A lock that the kernel frees when its holder dies, with a note that says who holds it."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from .errors import SlipwayError
from .files import read_json, remove, write_json

POLL_SECONDS = 0.2


def boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


class FileLock:
    """`with FileLock(path, wait=30, what="release of shop"):`"""

    def __init__(self, path: str | Path, *, wait: float = 0.0, what: str = "", holder: dict[str, Any] | None = None):
        self.path = Path(path)
        self.wait = wait
        self.what = what
        self.extra = holder or {}
        self._descriptor: int | None = None

    @property
    def holder_path(self) -> Path:
        return self.path.with_name(self.path.name + ".holder")

    def holder(self) -> dict[str, Any] | None:
        """Who holds the lock, as far as the note tells."""
        found = read_json(self.holder_path)
        return found if isinstance(found, dict) else None

    def acquire(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + self.wait
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    os.close(descriptor)
                    raise self._refusal() from None
                time.sleep(POLL_SECONDS)
        self._descriptor = descriptor
        try:
            self._note()
        except BaseException:
            self.release()  # without its note, nobody could say who holds it
            raise

    def _note(self) -> None:
        write_json(
            self.holder_path,
            {
                "pid": os.getpid(),
                "boot_id": boot_id(),
                "since": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                "what": self.what,
                **self.extra,
            },
        )

    def release(self) -> None:
        if self._descriptor is None:
            return
        remove(self.holder_path)
        os.close(self._descriptor)
        self._descriptor = None

    def _refusal(self) -> SlipwayError:
        note = self.holder() or {}
        asked = f", asked for by {note['by']}" if note.get("by") else ""
        who = f"{note.get('what') or 'another process'} (pid {note.get('pid', 'unknown')}{asked})"
        return SlipwayError(
            f"The lock {self.path} is held by {who} since {note.get('since', 'an unknown time')}.",
            hint="Wait for it to end, or give a longer lock wait; the kernel frees the lock when that process ends.",
            details=note,
        )

    def __enter__(self) -> FileLock:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
