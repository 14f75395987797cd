# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The database's container with the folder of its files on this host, and the exchange of that folder."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from ...common.errors import SlipwayError
from ...common.files import fsync_directory
from ...common.require import load
from ..source import major

PGDATA = "PGDATA"
USUAL = "/var/lib/postgresql/data"
STOP_SECONDS = 120
START_SECONDS = 180
POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Location:
    """The data directory inside the container and on this host."""

    container: str
    image: str
    inside: str
    path: Path
    volumes: tuple[str, ...]
    major: str = ""


class Cluster:
    def __init__(self, container: str) -> None:
        self._name = container
        self._docker = load("docker", "python3-docker")
        self._client = self._docker.from_env(timeout=STOP_SECONDS + 60)

    def close(self) -> None:
        self._client.close()

    def locate(self) -> Location:
        attributes = self._inspect().attrs
        return locate(self._name, attributes)

    def _inspect(self) -> Any:
        try:
            return self._client.containers.get(self._name)
        except self._docker.errors.NotFound:
            raise SlipwayError(f"There is no container {self._name}.", hint="Deploy the stack first.") from None
        except self._docker.errors.DockerException as error:
            raise SlipwayError(f"The Docker Engine does not answer: {error}.", hint="systemctl status docker") from None

    def volume(self, name: str, stack: str) -> Path:
        """A new volume; its folder on this host."""
        made = self._client.volumes.create(name, labels={"slipway.recovery": stack})
        return Path(made.attrs["Mountpoint"])

    def remove_volume(self, name: str) -> None:
        with suppress(self._docker.errors.DockerException):
            self._client.volumes.get(name).remove(force=True)

    def exchange(self, place: Location, fresh: Path, before: Path) -> None:
        """The server stops, its folder gets another name, the fresh one takes its place, the server starts.

        A server that does not come up with the fresh one gets the old one back.
        """
        container = self._inspect()
        status = place.path.stat()
        container.stop(timeout=STOP_SECONDS)
        try:
            os.chown(fresh, status.st_uid, status.st_gid)
            fresh.chmod(status.st_mode & 0o7777)
            _rename(place.path, before)
            try:
                _rename(fresh, place.path)
            except BaseException:
                _rename(before, place.path)
                raise
        except BaseException:
            container.start()
            raise
        try:
            self._start(container)
        except SlipwayError as error:
            container.stop(timeout=STOP_SECONDS)
            _rename(place.path, fresh)
            _rename(before, place.path)
            container.start()
            raise SlipwayError(
                f"The server does not start with the restored files: {error.message}",
                hint=f"The old ones are back in place. Look at: docker logs {self._name}",
            ) from None

    def _start(self, container: Any) -> None:
        container.start()
        end = time.monotonic() + START_SECONDS
        while True:
            container.reload()
            if container.status == "running":
                with suppress(self._docker.errors.APIError):
                    if container.exec_run(["pg_isready", "--quiet", "--host=127.0.0.1"]).exit_code == 0:
                        return
            if time.monotonic() > end:
                raise SlipwayError(f"it accepts no connection within {START_SECONDS} s.")
            time.sleep(POLL_SECONDS)


def locate(container: str, attributes: dict[str, Any]) -> Location:
    """Read out of what `docker inspect` says."""
    environment = dict(word.partition("=")[::2] for word in attributes["Config"].get("Env") or [])
    inside = PurePosixPath(environment.get(PGDATA) or USUAL)
    mounts = [
        (PurePosixPath(mount["Destination"]), Path(mount["Source"]))
        for mount in attributes.get("Mounts") or []
        if mount.get("Source")
    ]
    holding = [(target, source) for target, source in mounts if target == inside or target in inside.parents]
    if not holding:
        raise SlipwayError(
            f"The files of the database in {container} ({inside}) are in no volume: they go with the container.",
            hint="Give the service a volume for its data directory.",
        )
    target, source = max(holding, key=lambda pair: len(pair[0].parts))
    return Location(
        container,
        str(attributes["Image"]),
        str(inside),
        source / inside.relative_to(target),
        tuple(sorted(attributes["Config"].get("Volumes") or {})),
        environment.get("PG_MAJOR", ""),
    )


def refuse_other_major(place: Location, version: str) -> None:
    """The files of one major version are of no use to another one. An image that does not tell its own is tried."""
    wanted = major(version)
    if wanted and place.major and wanted != place.major:
        raise SlipwayError(
            f"The base backup is of PostgreSQL {version}, the image of {place.container} is PostgreSQL {place.major}.",
            hint="Run the service with an image of that major version, or restore a dump (without restore_time).",
        )


def refuse_unmovable(path: Path) -> None:
    """A folder can be exchanged in a moment only where the new one can be made beside it."""
    if not path.is_dir():
        raise SlipwayError(f"The database's folder {path} is not there.", hint="Start the stack's database once.")
    if os.path.ismount(path) or path.stat().st_dev != path.parent.stat().st_dev:
        raise SlipwayError(
            f"The database's folder {path} is the top of a file system, so it cannot be exchanged as a whole.",
            hint="Restore beside, and copy what is needed with pg_dump; or use a folder below the file system's top.",
        )


def _rename(old: Path, new: Path) -> None:
    old.rename(new)
    fsync_directory(new.parent)
