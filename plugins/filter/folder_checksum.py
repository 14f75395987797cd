# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleFilterError


def folder_checksum(folder: str) -> str:
    """Of the names and contents of all files below a folder of the controller."""
    place = Path(folder)
    if not place.is_dir():
        raise AnsibleFilterError(f"There is no folder {folder} on the controller.")
    digest = hashlib.sha256()
    for path in sorted(place.rglob("*")):
        if path.is_file():
            digest.update(f"{path.relative_to(place)}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()[:40]


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"folder_checksum": folder_checksum}
