# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A throw-away PostgreSQL: a container of the backup's own image on no network, with limits, gone after the drill.

It is reached through its socket, which lies in a directory that only root can enter. What a killed drill left is found
by the label.
"""

from __future__ import annotations

import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..common.errors import SlipwayError
from ..common.require import load
from ..postgres.options import PostgresOptions
from . import database
from .manifest import Manifest
from .room import GIGABYTE, refuse_without_room
from .source import major
from .spec import Spec

LABEL = "slipway.drill"
KIND = "postgres"
RUN_DIRECTORY = Path("/run/slipway/drill")
SOCKET = "/slipway-drill"
PGDATA = "PGDATA"
USUAL = "/var/lib/postgresql/data"
ACCOUNT = "postgres"
# The image's own entry point would serve this socket once before it is ready, and run what the image brings along.
START = 'initdb --username="$DRILL_USER" --auth=trust --encoding=UTF8 --locale=C >/dev/null && exec postgres "$@"'
START_SECONDS = 180.0
POLL_SECONDS = 0.3
LOG_LINES = 20
CPU_SHARES = 128
MOST_PROCESSES = 256
# The log that the server keeps between two checkpoints, with its own settings.
LOG_BYTES = 5 * GIGABYTE // 4
# Below this the drill gives up: what serves has to be able to write.
SPARE_BYTES = GIGABYTE // 2


@dataclass(frozen=True)
class Image:
    name: str
    id: str
    data: str
    user: str


class Server:
    """One drill's server."""

    def __init__(self, client: Any, spec: Spec, known: Manifest, identity: str) -> None:
        self._client = client
        self._spec = spec
        self._known = known
        self._docker = load("docker", "python3-docker")
        self._directory = RUN_DIRECTORY / spec.stack
        self._container: Any = None
        self._checked = time.monotonic()
        self._root = Path(client.info()["DockerRootDir"])
        self.name = f"slipway-drill-{spec.stack}-{identity.lower()}"
        self.superuser = str(known.details.get("superuser") or spec.postgres.user)
        self.image = ""
        self.version = ""

    def start(self) -> None:
        """Returns when it can be used; whatever happens, `remove` is called after it."""
        if self._root.is_dir():
            refuse_without_room(self._root, self._known.database_bytes, LOG_BYTES + SPARE_BYTES, "The drill")
        image = self._find_image()
        self.image = image.name
        self._run(image)
        self._wait()

    @property
    def inside(self) -> PostgresOptions:
        """For the programs that are run in the container."""
        return PostgresOptions(user=self.superuser, container=self.name)

    @property
    def outside(self) -> PostgresOptions:
        """For a session from this host."""
        return PostgresOptions(user=self.superuser, unix_socket=str(self._directory))

    def watch(self) -> None:
        """Once a second: room for what serves beside it."""
        if time.monotonic() - self._checked < 1 or not self._root.is_dir():
            return
        self._checked = time.monotonic()
        free = shutil.disk_usage(self._root).free
        if free < SPARE_BYTES:
            raise SlipwayError(
                f"The drill fills the disk: {free / 1e9:.1f} GB are free below {self._root}.",
                hint="Everything of it was removed again. Make room, or drill on another host.",
            )

    def _find_image(self) -> Image:
        """The one that is set; else that of the backup, which the stack may still run; else the public one."""
        wanted = [self._spec.drill.image] if self._spec.drill.image else self._candidates()
        for name in wanted:
            with suppress(self._docker.errors.ImageNotFound):
                return _image(name, self._client.images.get(name))
        failures = []
        for name in wanted:
            try:
                return _image(name, self._client.images.pull(name))
            except self._docker.errors.APIError as error:
                failures.append(f"{name} ({error.explanation})")
        raise SlipwayError(
            f"No image for the drill's server is on this host, and none can be pulled: {'; '.join(failures)}.",
            hint=f"Set backup_drill_image to one with PostgreSQL {major(self._known.server_version)}.",
        )

    def _candidates(self) -> list[str]:
        found = [str(self._known.details.get("image") or "")]
        if self._spec.postgres.container:
            with suppress(self._docker.errors.NotFound):
                found.append(self._client.containers.get(self._spec.postgres.container).attrs["Image"])
        found.append(f"postgres:{major(self._known.server_version)}")
        # What the backup's manifest calls by its digest of this host alone cannot be pulled, but may be here.
        return [name for name in dict.fromkeys(found) if name]

    def _run(self, image: Image) -> None:
        self._directory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._directory.parent.chmod(0o700)
        self._directory.mkdir()
        self._directory.chmod(0o777)
        settings = {"listen_addresses": "", "unix_socket_directories": SOCKET}
        if self._known.details.get("preload"):
            settings["shared_preload_libraries"] = str(self._known.details["preload"])
        self._container = self._client.containers.run(
            image.id,
            entrypoint=["sh", "-c", START, "sh"],
            command=[word for name, value in settings.items() for word in ("-c", f"{name}={value}")],
            name=self.name,
            labels=labels(self._spec.stack, KIND),
            # Programs that are run inside find the server by PGHOST.
            environment={PGDATA: image.data, "PGHOST": SOCKET, "DRILL_USER": self.superuser, "LC_ALL": "C"},
            user=image.user,
            network_mode="none",
            volumes={str(self._directory): {"bind": SOCKET, "mode": "rw"}},
            mem_limit=self._spec.drill.memory_bytes,
            memswap_limit=self._spec.drill.memory_bytes,
            shm_size="256m",
            pids_limit=MOST_PROCESSES,
            cpu_shares=CPU_SHARES,
            oom_score_adj=1000,
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
            detach=True,
        )

    def _wait(self) -> None:
        """Until it lets somebody in; then it has to be the server that the backup needs."""
        end = time.monotonic() + START_SECONDS
        while True:
            try:
                with database.session(self.outside, "template1") as cursor:
                    cursor.execute("SELECT current_setting('server_version')")
                    self.version = str(cursor.fetchone()[0])
                break
            except SlipwayError as error:
                self._container.reload()
                if self._container.status != "running" or time.monotonic() > end:
                    raise SlipwayError(
                        f"The drill's server of image {self.image} does not start: {self._said() or error.message}",
                        hint="Set backup_drill_image to an image like that of the database.",
                    ) from None
                time.sleep(POLL_SECONDS)
        if major(self.version) != major(self._known.server_version):
            raise SlipwayError(
                f"The image {self.image} has PostgreSQL {self.version}, the backup is of {self._known.server_version}.",
                hint=f"Set backup_drill_image to one with PostgreSQL {major(self._known.server_version)}.",
            )

    def _said(self) -> str:
        text = bytes(self._container.logs(tail=LOG_LINES)).decode(errors="replace")
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        worst = [line for line in lines if any(word in line for word in ("FATAL", "PANIC", "error"))]
        return " ".join((worst or lines or [""])[-1].split())

    def remove(self) -> None:
        if self._container is not None:
            with suppress(self._docker.errors.NotFound):
                self._container.remove(force=True, v=True)
            self._container = None
        shutil.rmtree(self._directory, ignore_errors=True)


def _image(name: str, found: Any) -> Image:
    config = found.attrs["Config"]
    environment = dict(word.partition("=")[::2] for word in config.get("Env") or [])
    return Image(name, found.id, environment.get(PGDATA) or USUAL, config.get("User") or ACCOUNT)


def labels(stack: str, kind: str) -> dict[str, str]:
    """What marks a container as a drill's."""
    return {LABEL: f"{stack}/{kind}"}


def clean(client: Any, stack: str, kind: str) -> None:
    """Remove what killed drills left; the lock is held, so none of it is at work."""
    wanted = [f"{name}={value}" for name, value in labels(stack, kind).items()]
    for container in client.containers.list(all=True, filters={"label": wanted}, ignore_removed=True):
        container.remove(force=True, v=True)
    if kind == KIND:
        shutil.rmtree(RUN_DIRECTORY / stack, ignore_errors=True)
