# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What files were before they were first written here, so that a control which is switched off can be taken back."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from ..common.files import read_json, remove, write_atomic

DIRECTORY = "/var/lib/slipway/originals"
ABSENT = "absent"


@dataclass(frozen=True)
class Original:
    """A file before the first change (None: there was none), and the fingerprint of what was last written here."""

    path: str
    content: str | None
    mode: int
    uid: int
    gid: int
    written: str

    @property
    def data(self) -> bytes | None:
        return None if self.content is None else base64.b64decode(self.content)


class Originals:
    def __init__(self, directory: str = DIRECTORY) -> None:
        self._directory = Path(directory)

    def get(self, path: str) -> Original | None:
        found = read_json(self._place(path))
        return Original(**found) if found else None

    def note(self, before: Original, after: bytes | None) -> None:
        """A file was changed. Once somebody else has changed it in between, it is no longer only ours to take back."""
        known = self.get(before.path)
        ours = known is None or known.written == fingerprint(before.data)
        noted = replace(known or before, written=fingerprint(after) if ours else "")
        os.makedirs(self._directory, mode=0o700, exist_ok=True)
        write_atomic(self._place(before.path), json.dumps(asdict(noted)), 0o600)

    def forget(self, path: str) -> None:
        remove(self._place(path))

    def _place(self, path: str) -> Path:
        return self._directory / f"{hashlib.sha256(path.encode()).hexdigest()[:32]}.json"


def fingerprint(content: bytes | None) -> str:
    return ABSENT if content is None else hashlib.sha256(content).hexdigest()


def encoded(content: bytes | None) -> str | None:
    return None if content is None else base64.b64encode(content).decode("ascii")
