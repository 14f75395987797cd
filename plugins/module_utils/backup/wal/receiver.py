# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The sidecar: a container of the database's own image that runs PostgreSQL's `pg_receivewal`.

It shares the network of the database's container, where the image lets replication in from 127.0.0.1, and nothing else.
It goes on while the shipper is away, and ends with the connection: who looks after it starts it again where the
database then is.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...common.errors import SlipwayError
from ...common.files import write_atomic
from ...common.require import load
from ..spec import Spec
from .options import WalOptions

STACK = "slipway.wal.stack"
# What the sidecar was started for; another value means that it has to be started anew.
TARGET = "slipway.wal.target"
WAL = "/wal"
PASSFILE = "/run/slipway/passfile"
LOG_LINES = 5
ROOT = "0:0"

REMOVED = "has already been removed"

# What pg_receivewal says, what it means, and what to do.
CAUSES = (
    (
        "no pg_hba.conf entry for replication",
        "pg_hba.conf lets nobody replicate from 127.0.0.1",
        "Add the line `host replication {user} 127.0.0.1/32 scram-sha-256` to the server's pg_hba.conf, then run "
        "SELECT pg_reload_conf().",
    ),
    (
        "pg_hba.conf rejects replication",
        "pg_hba.conf rejects replication from 127.0.0.1",
        "Change that line to `host replication {user} 127.0.0.1/32 scram-sha-256`, then run SELECT pg_reload_conf().",
    ),
    (
        "password authentication failed",
        "the server refuses the password of {user}",
        "Correct the password of stack_database, then run: ansible-playbook slipway.vps.site --tags backup",
    ),
    (
        "no password supplied",
        "the server asks for a password of {user}",
        "Set the password of stack_database, then run: ansible-playbook slipway.vps.site --tags backup",
    ),
    (
        "to start WAL sender",
        "the user {user} may not replicate",
        "As a superuser: ALTER ROLE {user} REPLICATION",
    ),
    (
        "must be superuser or replication role",
        "the user {user} may not replicate",
        "As a superuser: ALTER ROLE {user} REPLICATION",
    ),
    (
        "exceeds max_wal_senders",
        "all its connections for replication are taken",
        "Raise max_wal_senders and restart the server.",
    ),
    (
        "No space left on device",
        "the disk of the spool is full",
        "Free disk space (`df -h`).",
    ),
)


@dataclass(frozen=True)
class Database:
    """The database's container as it runs now."""

    id: str
    image: str
    started: str
    volumes: tuple[str, ...]


class Receiver:
    def __init__(self, spec: Spec, wal: WalOptions, directory: Path) -> None:
        self._spec = spec
        self._wal = wal
        self._directory = directory
        self._docker = load("docker", "python3-docker")
        self._client: Any = None

    @property
    def name(self) -> str:
        return f"slipway-wal-{self._spec.stack}"

    @property
    def client(self) -> Any:
        if self._client is None:
            self._client = self._docker.from_env(timeout=60)
        return self._client

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def database(self) -> Database:
        name = self._spec.postgres.container
        try:
            found = self.client.containers.get(name)
        except self._docker.errors.NotFound:
            raise SlipwayError(f"There is no container {name}.", hint="Start the stack's database.") from None
        except self._docker.errors.DockerException as error:
            raise SlipwayError(f"The Docker Engine does not answer: {error}.", hint="systemctl status docker") from None
        state = found.attrs["State"]
        if state["Status"] != "running":
            raise SlipwayError(
                f"The database's container {name} is {state['Status']}.", hint=f"Look at: docker logs {name}"
            )
        # Places that the image declares as volumes would become one more anonymous volume each.
        volumes = tuple(sorted(found.attrs["Config"].get("Volumes") or {}))
        return Database(found.id, found.attrs["Image"], state["StartedAt"], volumes)

    def keep(self, line: str) -> bool:
        """See to it that the sidecar receives this line of the log; returns whether it had to be started."""
        database = self.database()
        target = f"{database.id}@{database.started}/{line}"
        found = self._find()
        if found is not None and found.labels.get(TARGET) == target and found.status in ("running", "created"):
            return False
        reason = self._reason(found) if found is not None and found.labels.get(TARGET) == target else ""
        self._remove(found)
        self._start(database, target, line)
        if found is not None and found.labels.get(TARGET) == target:
            raise explain(reason, self._spec.postgres.user)
        return True

    def stop(self) -> None:
        """The log then waits at the server, for as much as its slot may keep."""
        self._remove(self._find())

    @property
    def running(self) -> bool:
        found = self._find()
        return found is not None and found.status == "running"

    def _find(self) -> Any | None:
        try:
            return self.client.containers.get(self.name)
        except self._docker.errors.NotFound:
            return None
        except self._docker.errors.DockerException as error:
            raise SlipwayError(f"The Docker Engine does not answer: {error}.", hint="systemctl status docker") from None

    def _reason(self, found: Any) -> str:
        try:
            return bytes(found.logs(tail=LOG_LINES)).decode(errors="replace").strip()
        except self._docker.errors.DockerException:
            return ""

    def _remove(self, found: Any | None) -> None:
        if found is None:
            return
        try:
            # pg_receivewal ends by SIGINT in a moment, and what it wrote is safe either way.
            found.remove(v=True, force=True)
        except self._docker.errors.NotFound:
            return
        except self._docker.errors.DockerException as error:
            raise SlipwayError(f"The container {self.name} cannot be removed: {error}.") from None

    def _start(self, database: Database, target: str, line: str) -> None:
        folder = self._directory / line
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        passfile = self._directory / "passfile"
        write_atomic(passfile, self._passfile(), 0o600)
        postgres = self._spec.postgres
        try:
            self.client.containers.run(
                database.image,
                entrypoint=["pg_receivewal"],
                command=[
                    f"--directory={WAL}",
                    "--host=127.0.0.1",
                    f"--port={postgres.port}",
                    f"--username={postgres.user}",
                    f"--slot={self._wal.slot}",
                    "--synchronous",
                    "--no-loop",
                    "--no-password",
                ],
                environment={"PGPASSFILE": PASSFILE, "PGAPPNAME": self.name, "LC_ALL": "C"},
                name=self.name,
                labels={STACK: self._spec.stack, TARGET: target},
                network_mode=f"container:{database.id}",
                volumes={
                    str(folder): {"bind": WAL, "mode": "rw"},
                    str(passfile): {"bind": PASSFILE, "mode": "ro"},
                },
                tmpfs=dict.fromkeys(database.volumes, "size=1m"),
                # Root without a single capability owns the spool, which nobody else may read.
                user=ROOT,
                # A user of the host, also where those of containers are remapped: the files are the host's.
                userns_mode="host",
                cap_drop=["ALL"],
                security_opt=["no-new-privileges"],
                read_only=True,
                log_config=self._docker.types.LogConfig(type="json-file", config={"max-size": "1m", "max-file": "1"}),
                detach=True,
            )
        except self._docker.errors.DockerException as error:
            self._remove(self._find())
            raise SlipwayError(
                f"The receiver of the log cannot be started: {error}.", hint=f"Look at: docker logs {self.name}"
            ) from None

    def _passfile(self) -> str:
        fields = ("127.0.0.1", "*", "*", self._spec.postgres.user, self._spec.postgres.password)
        return ":".join(word.replace("\\", "\\\\").replace(":", "\\:") for word in fields) + "\n"


def explain(reason: str, user: str) -> SlipwayError:
    """Why a receiver ended, from its last words."""
    details = {"removed": REMOVED in reason}
    for mark, meaning, hint in CAUSES:
        if mark in reason:
            return SlipwayError(
                f"The log is not received: {meaning.format(user=user)}.", hint=hint.format(user=user), details=details
            )
    last = " ".join(reason.splitlines()[-1].split()).rstrip(".") if reason else "it gave no reason"
    return SlipwayError(
        f"The receiver of the log ended: {last}.",
        hint="It was started again; if this goes on, look at the database's own log.",
        details=details,
    )
