# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a drill found: a document of its own beside the manifest, never written twice, and the host's note of it.

`docs/restore-drill.md` describes every field. A reader accepts its own version and older ones.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from ..common.files import read_json, remove, write_json
from ..common.version import __version__
from . import manifest
from .spec import Spec
from .store import Store

FORMAT = "slipway-drill"
VERSION = 1
GOOD = "good"
FAILED = "failed"
NAME = re.compile(r"drill-\d{8}T\d{6}Z-[0-9a-f]{6}\.json")
# On the host: the last drill, and the last good one; and the one that goes on, which a killed one leaves.
NOTE = "drill.json"
RUNNING = "drill-running.json"


@dataclass
class Drill:
    """The document; what a kind has no use for is empty."""

    id: str
    stack: str
    kind: str
    started: str
    backup: str = ""
    time: str = ""
    result: str = FAILED
    reason: str = ""
    database: str = ""
    created: str = ""
    store: str = ""
    image: str = ""
    server_version: str = ""
    bytes: int = 0
    tables: int = 0
    rows: int = 0
    compared: list[str] = field(default_factory=list)
    queries: list[dict[str, Any]] = field(default_factory=list)
    restore_seconds: float = 0.0
    # What would be missing if the server were lost now; None where the drill does not tell.
    loss_seconds: float | None = None
    # What was measured beside what was promised, and what of it was missed.
    goals: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    seconds: float = 0.0
    phases: dict[str, float] = field(default_factory=dict)
    format: str = FORMAT
    version: int = VERSION
    slipway_version: str = __version__

    @classmethod
    def begin(cls, spec: Spec, now: datetime) -> Drill:
        return cls(manifest.new_id(now), spec.stack, spec.kind, manifest.moment(now))

    @property
    def name(self) -> str:
        return f"drill-{self.id}.json"

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def store(place: Store, drill: Drill) -> None:
    """A new name for every drill: a bucket that allows no overwriting takes it too."""
    text = json.dumps(drill.as_dict(), indent=2, sort_keys=True) + "\n"
    place.put(drill.backup, drill.name, text.encode())


def note(spec: Spec, drill: Drill) -> None:
    """For the probe: 0644, as it holds no secret and a probe need not be root."""
    spec.state_directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    about = drill.as_dict()
    good = about if drill.result == GOOD else noted(spec).get("good")
    write_json(spec.state_directory / NOTE, {"last": about, "good": good}, 0o644)


def begun(spec: Spec, drill: Drill) -> None:
    spec.state_directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_json(spec.state_directory / RUNNING, {"id": drill.id, "started": drill.started})


def ended(spec: Spec) -> None:
    remove(spec.state_directory / RUNNING)


def unfinished(spec: Spec) -> Drill | None:
    """The one that was killed before it could tell; only asked when none is at work."""
    found = read_json(spec.state_directory / RUNNING)
    if not isinstance(found, dict):
        return None
    reason = "The drill was killed before it ended (journalctl -k says whether memory was short)."
    return Drill(**found, stack=spec.stack, kind=spec.kind, reason=reason)


def noted(spec: Spec) -> dict[str, Any]:
    """What this host knows of the drills of a kind: `last` and `good`, as far as there are any."""
    found = read_json(spec.state_directory / NOTE, {})
    return found if isinstance(found, dict) else {}


def last(stores: Iterable[Store], names: Mapping[str, Iterable[str]], identity: str) -> list[dict[str, Any]]:
    """The last drill of one backup and the last good one, as far as they go; `names` is what each store holds."""
    holding = {one: place for place in stores for one in names.get(place.name, ()) if NAME.fullmatch(one)}
    found: list[dict[str, Any]] = []
    for name in sorted(holding, reverse=True):
        data = _read(holding[name], identity, name)
        if data is not None and (not found or data["result"] == GOOD):
            found.append(data)
        if found and found[-1]["result"] == GOOD:
            break
    return found


def _read(place: Store, identity: str, name: str) -> dict[str, Any] | None:
    """A document that is damaged, or newer than this agent, tells nothing: it proves nothing either."""
    try:
        data = json.loads(place.get(identity, name) or b"null")
        known = data["format"] == FORMAT and int(data["version"]) <= VERSION and data["result"] in (GOOD, FAILED)
        return {**data, "time": str(data["time"]), "seconds": float(data["seconds"])} if known else None
    except (ValueError, KeyError, TypeError):
        return None
