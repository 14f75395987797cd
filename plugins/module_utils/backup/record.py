# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is remembered on the host between runs: the last results, and what a killed run left unfinished."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ..common.files import read_json, remove, write_json
from . import manifest
from .spec import Spec

LAST = "last.json"
RUNNING = "running.json"


def last(spec: Spec) -> dict[str, Any]:
    """The last success and the last failure; what the probe of the backup's age reads."""
    found = read_json(spec.state_directory / LAST, {})
    return found if isinstance(found, dict) else {}


def success(spec: Spec, known: manifest.Manifest) -> None:
    _update(spec, "success", {"id": known.id, "time": known.snapshot_time, "bytes": known.total_bytes()})


def verified(spec: Spec, identity: str) -> None:
    _update(spec, "verified", {"id": identity, "time": manifest.moment(datetime.now(timezone.utc))})


def failure(spec: Spec, what: str, message: str) -> None:
    now = manifest.moment(datetime.now(timezone.utc))
    _update(spec, "failure", {"what": what, "time": now, "message": message})


def _update(spec: Spec, name: str, facts: dict[str, Any]) -> None:
    spec.state_directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    # 0644: it holds no secret, and a probe need not be root.
    write_json(spec.state_directory / LAST, {**last(spec), name: facts}, 0o644)


def begin(spec: Spec, identity: str) -> None:
    """Noted before the first byte is stored, so that the next run knows what to clean up."""
    spec.state_directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_json(_running(spec), {"id": identity})


def unfinished(spec: Spec) -> str | None:
    found = read_json(_running(spec))
    return str(found["id"]) if isinstance(found, dict) else None


def end(spec: Spec) -> None:
    remove(_running(spec))


def _running(spec: Spec) -> Path:
    return spec.state_directory / RUNNING
