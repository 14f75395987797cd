# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The second half: data services up, the data into them, and only then the release that used it.

    stand by -> database -> Redis -> files -> serve

Each step is on record when it is done; a run that was cut off goes on with the next one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

from ..backup import restoration, restore, restore_files, restore_redis
from ..backup import spec as specs
from ..backup.goals import Goals
from ..backup.kinds.files import Files
from ..backup.restoration import IN_PLACE
from ..backup.wal import options as wal_options
from ..backup.wal import restore as wal_restore
from ..backup.wal.archive import moment
from ..common.errors import SlipwayError
from ..common.events import Emitter
from ..common.files import read_json, remove
from ..release import recovery, standby
from ..release.host import Host, Serving
from ..release.paths import StackPaths
from . import journal
from .journal import Journal
from .state import told
from .survey import DUMP, LOG

REDIS = "redis"
FILES = "files"
LOCK_SECONDS = 60.0


def finish(request: Mapping[str, Any], emitter: Emitter) -> dict[str, Any]:
    """Bring the data and then the release back; a second call tells what the first one did."""
    stack = str(request["stack"])
    known = journal.read(stack)
    if known is None or known.state is None:
        raise SlipwayError(
            f"No recovery of {stack} has begun on this host.",
            hint="Start it with: ansible-playbook slipway.vps.recover",
        )
    host = Host(StackPaths(stack), emitter)
    if known.finished:
        return _answer(host, known, request, changed=False)
    with emitter.phase("data-services"), _locked(host):
        serving = standby.prepare(host)
    steps: dict[str, Callable[[Journal, str, Emitter], dict[str, Any]]] = {
        LOG: _log,
        DUMP: _dump,
        REDIS: _redis,
        FILES: _files,
    }
    identity_file = str(request.get("identity_file") or "")
    for kind, step in steps.items():
        if kind in known.chosen and kind not in known.done:
            emitter.info(f"{kind} comes back from backup {known.chosen[kind]}")
            result = step(known, identity_file, emitter)
            for warning in result.pop("warnings", []):
                emitter.info(warning)
                known = known.with_warning(warning)
            known = journal.write(known.with_done(kind, result))
    with emitter.phase("release"), _locked(host):
        _serve(host, known, serving)
    known = journal.write(replace(known, finished=moment(datetime.now(timezone.utc))))
    return _answer(host, known, request, changed=True)


def _answer(host: Host, known: Journal, request: Mapping[str, Any], *, changed: bool) -> dict[str, Any]:
    lost = loss(known, str(request.get("lost_at") or ""))
    goals = Goals.from_dict((read_json(specs.CONFIG_DIRECTORY / f"{known.stack}.json", {}) or {}).get("goals")).told()
    return {"changed": changed, "recovery": {**told(known), **_release(host), "loss": lost, "goals": goals}}


def loss(known: Journal, lost_at: str) -> dict[str, Any]:
    """How much of the database is missing; without the moment of the loss, what it can be at most."""
    until = next((str(known.done[kind]["until"]) for kind in (LOG, DUMP) if kind in known.done), "")
    if not until:
        return {"until": None, "seconds": None, "at_most": False}
    end = datetime.fromisoformat(_utc(lost_at or known.started))
    seconds = (end - datetime.fromisoformat(_utc(until))).total_seconds()
    return {"until": until, "seconds": round(max(seconds, 0.0), 1), "at_most": not lost_at}


def _locked(host: Host) -> Any:
    return host.lock(f"recovery of {host.paths.stack}", LOCK_SECONDS, "recover")


def _serve(host: Host, known: Journal, serving: Serving) -> None:
    recovery.recover(host)
    if not recovery.reconcile(host):
        raise SlipwayError(f"Release {serving.record.label} of {known.stack} is on record, and yet none serves.")
    if known.maintenance:
        remove(host.paths.maintenance)


def _release(host: Host) -> dict[str, Any]:
    serving = host.serving(host.store.state())
    if serving is None:
        return {"release": None, "images": {}}
    return {"release": serving.record.name, "images": dict(serving.record.images)}


def _log(known: Journal, identity_file: str, emitter: Emitter) -> dict[str, Any]:
    request = wal_restore.Request(
        time=known.time or wal_restore.NEWEST, id=known.chosen[LOG], target=IN_PLACE, identity_file=identity_file
    )
    done = wal_restore.run(wal_options.load(known.stack), request, emitter)["restore"]
    # The last commit may be old because nobody wrote: the log vouches for more.
    until = max(filter(None, (_utc(done["reached"]), _utc(known.time or done["log_reaches"]))), default="")
    return {"id": done["id"], "until": until or done["base_finished"], "seconds": done["seconds"]}


def _utc(text: str | None) -> str:
    return moment(datetime.fromisoformat(text).astimezone(timezone.utc)) if text else ""


def _dump(known: Journal, identity_file: str, emitter: Emitter) -> dict[str, Any]:
    request = restore.Request(id=known.chosen[DUMP], target=IN_PLACE, identity_file=identity_file)
    done = restore.run(specs.load(known.stack), request, emitter)["restore"]
    return {"id": done["id"], "until": done["created"], "rows": done["rows"], "seconds": done["seconds"]}


def _redis(known: Journal, identity_file: str, emitter: Emitter) -> dict[str, Any]:
    request = restoration.Request(id=known.chosen[REDIS], target=IN_PLACE, identity_file=identity_file)
    done = restore_redis.run(specs.load(known.stack, REDIS), request, emitter)["restore"]
    return {
        "id": done["id"],
        "until": done["created"],
        "key_count": sum(done["key_counts"].values()),
        "seconds": done["seconds"],
    }


def _files(known: Journal, identity_file: str, emitter: Emitter) -> dict[str, Any]:
    """What the release that comes back does not use has no place to go to; it stays in the bucket, and is told."""
    spec = specs.load(known.stack, FILES)
    request = restoration.Request(id=known.chosen[FILES], identity_file=identity_file)
    found = restoration.find(spec, request)
    here = Files(spec).folders()
    contents = tuple(name for name in found.contents if name in here)
    done: dict[str, Any] = {"id": found.backup.id, "until": found.backup.manifest.snapshot_time, "seconds": 0.0}
    left = sorted(set(found.contents) - set(contents))
    if left:
        done["warnings"] = [f"The release uses no {', '.join(left)} now: left in backup {found.backup.id} (files)."]
    if contents:
        wanted = replace(request, contents=contents, target=IN_PLACE)
        done["seconds"] = restore_files.run(spec, wanted, emitter)["restore"]["seconds"]
    return done
