# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A throw-away container of the database's own image that replays the log into a copy of its files.

It has no network, archives nothing, and never sees the live data directory.
"""

from __future__ import annotations

import os
import re
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...common.errors import SlipwayError
from ...common.events import Emitter
from ...common.require import load
from .plan import RestorePlan

DATA = "/restore/data"
LOG = "/restore/wal"
POLL_SECONDS = 0.5
STOP_SECONDS = 300
LOG_LINES = 200
TELL_SECONDS = 15.0
ENDED_BEFORE = "recovery ended before configured recovery target was reached"
REACHED = re.compile(r"last completed transaction was at log time (.+)")
RESTORED = re.compile(r'restored log file "([0-9A-F]{24})"')
LABEL = "slipway.recovery"


@dataclass(frozen=True)
class Place:
    """Where a recovery happens: the image, the folder of the files and the folder of the log."""

    name: str
    image: str
    data: Path
    log: Path
    volumes: tuple[str, ...] = ()


class Recovery:
    def __init__(self, place: Place, plan: RestorePlan, emitter: Emitter) -> None:
        self._place = place
        self._plan = plan
        self._emitter = emitter
        self._docker = load("docker", "python3-docker")
        self._client = self._docker.from_env(timeout=STOP_SECONDS + 60)
        self._container: Any = None

    def run(self) -> str:
        """Replay up to the target and promote; returns the time of the last transaction, as the server says it."""
        try:
            self._start(timed=self._plan.target.time is not None)
            if not self._wait():
                # No transaction is later than the moment that was asked for: then it is all that there is.
                self._remove()
                self._start(timed=False)
                self._wait()
            found = REACHED.findall(self._log())
            return found[-1].strip() if found else ""
        except BaseException:
            self._remove()
            raise

    def stop(self) -> None:
        """Shut down cleanly, so that the files can be served by another container."""
        if self._container is not None:
            self._container.stop(timeout=STOP_SECONDS)
            self._container.reload()
            status = self._container.attrs["State"]["ExitCode"]
            if status != 0:
                raise SlipwayError(
                    f"The recovered server did not shut down cleanly (status {status}): {_last(self._log())}.",
                    hint="Nothing was replaced.",
                )
            self._remove()

    def close(self) -> None:
        self._client.close()

    def _start(self, *, timed: bool) -> None:
        (self._place.data / "recovery.signal").touch(mode=0o600)
        owner = (self._place.data / "PG_VERSION").stat()
        os.chown(self._place.data / "recovery.signal", owner.st_uid, owner.st_gid)
        settings = _settings(self._plan, timed=timed)
        try:
            self._container = self._client.containers.run(
                self._place.image,
                entrypoint=["postgres"],
                command=["-D", DATA, *[word for setting in settings for word in ("-c", setting)]],
                name=self._place.name,
                labels={LABEL: self._place.name},
                user=f"{owner.st_uid}:{owner.st_gid}",
                # A user of the host, also where those of containers are remapped: the files are the host's.
                userns_mode="host",
                network_mode="none",
                volumes={
                    str(self._place.data): {"bind": DATA, "mode": "rw"},
                    str(self._place.log): {"bind": LOG, "mode": "ro"},
                },
                tmpfs=dict.fromkeys(self._place.volumes, "size=1m"),
                shm_size="256m",
                # A fast shutdown: it waits for no session.
                stop_signal="SIGINT",
                detach=True,
            )
        except self._docker.errors.DockerException as error:
            raise SlipwayError(
                f"The recovery's container cannot be started: {error}.", hint="docker ps --all"
            ) from None

    def _wait(self) -> bool:
        """Until it is promoted; False if the log ended before the moment that was asked for."""
        told = time.monotonic()
        while True:
            self._container.reload()
            if self._container.status != "running":
                said = self._log()
                if ENDED_BEFORE in said:
                    return False
                raise SlipwayError(
                    f"The recovery ended before its target: {_last(said)}.", hint="Nothing that serves was touched."
                )
            # Without hot standby it lets nobody in before the recovery is over.
            with suppress(self._docker.errors.APIError):
                if self._container.exec_run(["pg_isready", "--quiet"]).exit_code == 0:
                    return True
            if time.monotonic() - told > TELL_SECONDS:
                told = time.monotonic()
                found = RESTORED.findall(self._log())
                self._emitter.info(f"Replaying segment {found[-1]}." if found else "The server starts.")
            time.sleep(POLL_SECONDS)

    def _log(self) -> str:
        return bytes(self._container.logs(tail=LOG_LINES)).decode(errors="replace")

    def _remove(self) -> None:
        if self._container is not None:
            with suppress(self._docker.errors.DockerException):
                self._container.remove(force=True, v=True)
            self._container = None


def _settings(plan: RestorePlan, *, timed: bool) -> list[str]:
    """On the command line, so that none of them stays in the restored files."""
    wanted = {
        "restore_command": f'cp {LOG}/%f "%p"',
        "recovery_target_action": "promote",
        "recovery_target_timeline": str(plan.target.timeline) if plan.target.timeline else "latest",
        # Without it the limits of the old server (max_connections, ...) need not be known here.
        "hot_standby": "off",
        # The copy must never write into the archive of the original.
        "archive_mode": "off",
        "synchronous_standby_names": "",
        "primary_conninfo": "",
        "listen_addresses": "",
        "ssl": "off",
        "logging_collector": "off",
        "log_destination": "stderr",
        "lc_messages": "C",
    }
    if timed and plan.target.time is not None:
        wanted["recovery_target_time"] = plan.target.time.isoformat(sep=" ", timespec="microseconds")
    return [f"{name}={value}" for name, value in wanted.items()]


def _last(said: str) -> str:
    """The fatal line, or the last one."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    fatal = [line for line in lines if "FATAL" in line or "PANIC" in line]
    return " ".join((fatal or lines or ["it gave no reason"])[-1].split()).rstrip(".")
