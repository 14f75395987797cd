# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Redis back from a snapshot: a server of the same image loads it beside; what it loaded takes the data's place.

That server writes both forms, snapshot and append-only file: with `appendonly yes` Redis starts from the second alone
and would ignore a snapshot that was put into its directory.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..common.errors import SlipwayError
from ..common.events import Emitter
from ..common.lock import FileLock
from ..common.process import run as run_program
from ..common.process import tail
from ..release.paths import StackPaths
from . import containers, drill_server, restoration
from .kinds.redis import CONTENT, Redis
from .restoration import BESIDE, IN_PLACE, Found, Request
from .restore import maintenance
from .source import Command
from .spec import STATE_DIRECTORY, Spec

DATA = "/data"
SNAPSHOT = "dump.rdb"
LOAD_SECONDS = 3600.0
START_SECONDS = 600.0
POLL_SECONDS = 0.2
# The snapshot, the append-only file that is made of it, and one rewrite.
COPIES = 3
MEMORY = re.compile(r"(?m)^MemAvailable:\s+(\d+) kB")


@dataclass(frozen=True)
class Plan:
    found: Found
    place: Path
    live: Path
    image: str

    def as_dict(self, request: Request) -> dict[str, Any]:
        return {
            "id": self.found.backup.id,
            "kind": self.found.spec.kind,
            "created": self.found.backup.manifest.snapshot_time,
            "store": self.found.store.name,
            "target": request.target,
            "places": {CONTENT: str(self.live if request.target == IN_PLACE else self.place)},
            "bytes": self.found.bytes(),
        }


def plan(spec: Spec, request: Request) -> dict[str, Any]:
    """What a restore would do; found out before anything is touched."""
    return _plan(spec, request).as_dict(request)


def _plan(spec: Spec, request: Request) -> Plan:
    found = restoration.find(spec, request)
    kind = Redis(found.spec)
    details = found.backup.manifest.details
    wanted = str((details.get("configuration") or {}).get("dir") or DATA)
    template = "{{range .Mounts}}{{if eq .Destination " + f'"{wanted}"' + "}}{{.Source}}{{end}}{{end}}"
    source = kind.inspect(template)
    if not source:
        raise SlipwayError(
            f"The data of container {kind.container} ({wanted}) is in no volume: there is nothing to restore into.",
            hint=f"Give the service a volume at {wanted} in the Compose file.",
        )
    live = Path(source).resolve()
    if request.target == BESIDE:
        place = restoration.fresh_directory(spec, request, found.backup.id)
    else:
        place = restoration.beside(live, "restored", found.backup.id)
        if live.is_mount():
            raise SlipwayError(
                f"{live} is a file system of its own and cannot be exchanged by its name.",
                hint="Restore beside, stop the service and copy the files.",
            )
    restoration.refuse_full_disk(place, COPIES * found.bytes())
    _refuse_full_memory(int(details.get("used_memory") or 0))
    return Plan(found, place, live, kind.inspect("{{.Image}}"))


def _refuse_full_memory(needed: int) -> None:
    free = _available_memory()
    if needed > free:
        raise SlipwayError(
            f"A second Redis with this snapshot needs {needed // 10**6} MB of memory, {free // 10**6} MB are free.",
            hint="Stop something, or restore on a larger host.",
        )


def _available_memory() -> int:
    found = MEMORY.findall(Path("/proc/meminfo").read_text(encoding="ascii"))
    return int(found[0]) * 1024


def run(spec: Spec, request: Request, emitter: Emitter) -> dict[str, Any]:
    started = time.monotonic()
    with FileLock(STATE_DIRECTORY / "lock", wait=spec.lock_wait, what=f"restore {spec.stack} ({spec.kind})"):
        with emitter.phase("preflight"):
            todo = _plan(spec, request)
        result: dict[str, Any] = {**todo.as_dict(request), "before": []}
        todo.place.mkdir(mode=0o700, parents=True)
        try:
            _unpack(todo, emitter)
            with emitter.phase("load"):
                result["key_counts"] = _load(todo)
            if request.target == IN_PLACE:
                with emitter.phase("swap"):
                    result["before"] = _into_place(todo, request, result["key_counts"])
        except BaseException:
            shutil.rmtree(todo.place, ignore_errors=True)
            raise
        restoration.mark(todo.found, request, key_counts=result["key_counts"])
    return {"restore": {**result, "seconds": round(time.monotonic() - started, 2)}, "changed": True}


def trial(spec: Spec, identity: str, directory: Path, emitter: Emitter) -> tuple[dict[str, int], str]:
    """Load a backup beside, compare, and keep nothing; the keys by database and the image that served them."""
    with emitter.phase("preflight"):
        todo = _plan(spec, Request(id=identity, directory=str(directory)))
    directory.mkdir(mode=0o700, parents=True)
    try:
        _unpack(todo, emitter)
        with emitter.phase("load"):
            return _load(todo, drill_server.labels(spec.stack, spec.kind)), todo.image
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _unpack(todo: Plan, emitter: Emitter) -> None:
    with emitter.phase("restore"):
        # `dd` is in every system and reports a full disk.
        write = Command(("dd", f"of={todo.place / SNAPSHOT}", "bs=1M", "status=none"))
        restoration.unpack(todo.found, CONTENT, write, emitter)


def _load(todo: Plan, labels: Mapping[str, str] | None = None) -> dict[str, int]:
    """Start a server without a network on the snapshot, compare what it loaded, let it write the other form too."""
    about = todo.live.stat()
    for path in (todo.place, todo.place / SNAPSHOT):
        os.chown(path, about.st_uid, about.st_gid)
    todo.place.chmod(about.st_mode & 0o7777)
    (todo.place / SNAPSHOT).chmod(0o600)
    known = todo.found.backup.manifest.details.get("configuration") or {}
    names = [
        word for name in ("appenddirname", "appendfilename") if known.get(name) for word in (f"--{name}", known[name])
    ]
    with containers.engine() as client:
        server = client.containers.run(
            todo.image,
            ["--dir", DATA, "--dbfilename", SNAPSHOT, "--appendonly", "no", "--save", "", "--maxmemory", "0", *names],
            entrypoint="redis-server",
            name=f"slipway-restore-{todo.found.spec.stack}-{todo.found.backup.id}",
            labels=dict(labels or {}),
            network_mode="none",
            user=f"{about.st_uid}:{about.st_gid}",
            # A user of the host, also where those of containers are remapped: the files are the host's.
            userns_mode="host",
            volumes={str(todo.place): {"bind": DATA, "mode": "rw"}},
            detach=True,
        )
        try:
            kind = _Server(server.name)
            loaded = kind.loaded()
            kind.compare(loaded, todo.found.backup.id)
            kind.write_append_only()
            server.stop()
        finally:
            server.remove(force=True, v=True)
    wanted = str(known.get("dbfilename") or SNAPSHOT)
    if Path(wanted).name == wanted and wanted != SNAPSHOT:
        (todo.place / SNAPSHOT).rename(todo.place / wanted)
    return keys(loaded)


class _Server:
    """Redis in a container by its command-line client."""

    def __init__(self, container: str, kind: Redis | None = None) -> None:
        self._container = container
        self._kind = kind

    def ask(self, *words: str) -> str:
        if self._kind:
            command = self._kind.command("redis-cli", "--no-raw", *words)
            return run_program(command.argv, timeout=60, env=command.env, check=False).stdout
        return run_program(
            ("docker", "exec", self._container, "redis-cli", "--no-raw", *words), timeout=60, check=False
        ).stdout

    def info(self) -> dict[str, str]:
        return dict(re.findall(r"(?m)^([a-z0-9_]+):([^\r\n]*)", self.ask("info")))

    def until(self, good: Callable[[dict[str, str]], bool], seconds: float, what: str) -> dict[str, str]:
        deadline = time.monotonic() + seconds
        while True:
            found = self.info()
            if "redis_version" in found and good(found):
                return found
            state = run_program(
                ("docker", "container", "inspect", "--format={{.State.Running}}", self._container),
                timeout=60,
                check=False,
            )
            if "true" not in state.stdout or time.monotonic() > deadline:
                log = run_program(("docker", "logs", "--tail=5", self._container), timeout=60, check=False)
                raise SlipwayError(
                    f"Redis in container {self._container} does not {what}: {tail(log.stdout + log.stderr, 3)}",
                    hint="Nothing was replaced. Restore another backup: slipway backup list --kind redis",
                )
            time.sleep(POLL_SECONDS)

    def loaded(self, seconds: float = LOAD_SECONDS) -> dict[str, str]:
        return self.until(lambda found: found.get("loading") == "0", seconds, "load the snapshot")

    def compare(self, loaded: Mapping[str, str], identity: str) -> None:
        """redis-check-rdb counts what is in the file; what had expired by now is not served any more."""
        said = run_program(
            ("docker", "exec", self._container, "redis-check-rdb", f"{DATA}/{SNAPSHOT}"), timeout=LOAD_SECONDS
        ).stdout
        inside = int(re.findall(r"(\d+) keys read", said)[0])
        served = sum(keys(loaded).values())
        expired = int(re.findall(r"(\d+) already expired", said)[0])
        if not inside - expired <= served <= inside:
            raise SlipwayError(
                f"Redis loaded {served} keys of backup {identity}, and there are {inside} in it ({expired} expired).",
                hint="Nothing was replaced. Restore another backup: slipway backup list --kind redis",
            )

    def write_append_only(self) -> None:
        self.ask("config", "set", "appendonly", "yes")

        def written(found: dict[str, str]) -> bool:
            busy = found.get("aof_rewrite_in_progress") != "0" or found.get("aof_rewrite_scheduled") != "0"
            return found.get("aof_enabled") == "1" and not busy and found.get("aof_last_bgrewrite_status") == "ok"

        self.until(written, LOAD_SECONDS, "write its append-only file")


def keys(info: Mapping[str, str]) -> dict[str, int]:
    """Keys by database."""
    return {
        name: int(value.partition("keys=")[2].partition(",")[0])
        for name, value in info.items()
        if value.startswith("keys=")
    }


def _into_place(todo: Plan, request: Request, wanted: Mapping[str, int]) -> list[str]:
    """Stop, exchange, start, and look that the service serves the keys; if not, what was there serves again."""
    spec = todo.found.spec
    live = Redis(spec)
    lock = FileLock(StackPaths(spec.stack).lock, wait=spec.lock_wait, what=f"restore {spec.stack} (redis)")
    with lock, containers.engine() as client, maintenance(request.maintenance_file):
        users = containers.using(client, [todo.live])
        service = client.containers.get(live.container)
        users = [service, *(one for one in users if one.name != service.name)]
        with containers.stopped(users):
            kept = restoration.exchange([(todo.live, todo.place)], todo.found.backup.id)
        try:
            found = _Server(live.container, live).loaded(START_SECONDS)
            if wanted and not keys(found):
                raise SlipwayError(
                    f"Redis in container {live.container} started without the restored keys.",
                    hint="It serves what it had before. Look at its configuration: docker logs " + live.container,
                )
        except BaseException:
            with containers.stopped(users):
                restoration.give_back([(todo.live, Path(kept[0])), (todo.place, todo.live)])
            raise
    return kept
