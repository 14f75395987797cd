# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The audit log of a stack: one JSON line a release, only ever appended to.

A seal beside it keeps the length and the checksum of what was written. Whatever is taken away from the log or changed
in it later is noticed: by every reader, and for good by an entry that the next writer adds.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..common.files import append_line, read_json, write_json

ALTERED = "altered"
SUCCEEDED = "succeeded"


def now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def append(path: Path, entry: Mapping[str, Any]) -> None:
    complaint = altered(path)
    if complaint:
        _write(path, {"kind": "audit", "result": ALTERED, "reason": complaint})
    _write(path, entry)
    content = path.read_bytes()
    write_json(seal(path), {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}, 0o600)


def _write(path: Path, entry: Mapping[str, Any]) -> None:
    # A line that a power loss cut off must not swallow the next one.
    cut_off = path.exists() and not path.read_bytes().endswith(b"\n") and path.stat().st_size > 0
    text = json.dumps({"at": now(), **entry}, sort_keys=True)
    append_line(path, f"\n{text}" if cut_off else text, mode=0o640)


def seal(path: Path) -> Path:
    return path.with_name(f".{path.name}.seal")


def altered(path: Path) -> str:
    """What is wrong with the log, as a sentence; empty if nothing is. More than the seal knows of is no harm: a power
    loss can come between the two."""
    known = read_json(seal(path))
    if known is None:
        return ""
    content = path.read_bytes() if path.exists() else b""
    if len(content) < known["bytes"]:
        return f"The audit log {path} is shorter than it was: {len(content)} bytes instead of {known['bytes']}."
    if hashlib.sha256(content[: known["bytes"]]).hexdigest() != known["sha256"]:
        return f"The audit log {path} is not what was written to it: lines were changed."
    return ""


def append_once(path: Path, entry: Mapping[str, Any]) -> None:
    """Append it unless this end of this release is on record: whoever wrote it may have been cut off right after."""
    known = {line.get("result") for line in read(path) if line.get("id") == entry["id"]}
    if not known & {SUCCEEDED, entry["result"]}:
        append(path, entry)


def read(path: Path) -> list[dict[str, Any]]:
    """Every entry, oldest first; a line cut off by a power loss is skipped."""
    entries = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    for text in lines:
        try:
            entries.append(json.loads(text))
        except ValueError:
            continue
    return entries
