# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is remembered on the host between runs: the last results, and what a killed run left unfinished."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ..common.files import read_json, remove, write_json
from . import drill_result, manifest
from .spec import Spec

LAST = "last.json"
RUNNING = "running.json"
# Work that ends well or badly.
BACKUP, VERIFY, DRILL = "backup", "verify", "drill"


def last(spec: Spec) -> dict[str, Any]:
    """The last success and the last failure of each work, with what the drills noted for themselves."""
    found = _noted(spec)
    drills = drill_result.noted(spec)
    if good := drills.get("good"):
        about = {"id": good["backup"], "time": good["time"], "seconds": good["restore_seconds"]}
        found["restored"] = {**about, "missed": good.get("missed") or []}
    if (told := drills.get("last")) and told["result"] != drill_result.GOOD:
        failing = {"what": DRILL, "time": told["time"], "message": told["reason"]}
        found["failing"] = {**found.get("failing", {}), DRILL: failing}
    return found


def _noted(spec: Spec) -> dict[str, Any]:
    """What the probe of the backup's age reads."""
    found = read_json(spec.state_directory / LAST, {})
    return found if isinstance(found, dict) else {}


def success(spec: Spec, known: manifest.Manifest) -> None:
    facts = {
        "id": known.id,
        "time": known.snapshot_time,
        "finished": known.finished,
        "seconds": known.seconds,
        "bytes": known.total_bytes(),
        "dump_bytes": known.dump_bytes,
        "rows": sum(known.tables.values()) if known.row_counts and known.tables else None,
    }
    _update(spec, BACKUP, success=facts)


def verified(spec: Spec, identity: str) -> None:
    _update(spec, VERIFY, verified={"id": identity, "time": _now()})


def confirmed(spec: Spec, identity: str) -> None:
    """Read back and as it was sent, but sealed: this host has no key to look inside."""
    _update(spec, VERIFY, confirmed={"id": identity, "time": _now()})


def failure(spec: Spec, what: str, message: str) -> None:
    """`failing` has each work whose last attempt failed, `failures` how often each ever did."""
    found = _noted(spec)
    told = {"what": what, "time": _now(), "message": message}
    counts = found.get("failures", {})
    _update(
        spec,
        failure=told,
        failing={**found.get("failing", {}), what: told},
        failures={**counts, what: counts.get(what, 0) + 1},
    )


def _now() -> str:
    return manifest.moment(datetime.now(timezone.utc))


def _update(spec: Spec, mended: str = "", **facts: Any) -> None:
    spec.state_directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = {**_noted(spec), **facts}
    if mended and mended in found.get("failing", {}):
        found["failing"] = {what: told for what, told in found["failing"].items() if what != mended}
    # 0644: it holds no secret, and a probe need not be root.
    write_json(spec.state_directory / LAST, found, 0o644)


def begin(spec: Spec, identity: str) -> None:
    """Noted before the first byte is stored or deleted, so that the next run knows what to clean up."""
    _note(spec, [*(one for one in unfinished(spec) if one != identity), identity])


def unfinished(spec: Spec) -> list[str]:
    found = read_json(_running(spec), {})
    return [str(one) for one in found.get("ids", [])] if isinstance(found, dict) else []


def end(spec: Spec, identity: str) -> None:
    _note(spec, [one for one in unfinished(spec) if one != identity])


def _note(spec: Spec, identities: list[str]) -> None:
    spec.state_directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if identities:
        write_json(_running(spec), {"ids": identities})
    else:
        remove(_running(spec))


def _running(spec: Spec) -> Path:
    return spec.state_directory / RUNNING
