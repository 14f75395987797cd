# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is backed up, to where, and for how long: one stack's configuration.

On a host it is `/etc/slipway/backup/<stack>.json` (0600, written by role backup); a module may give it by options.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..common import validate
from ..common.errors import SlipwayError
from ..common.files import read_json
from ..postgres.options import PostgresOptions
from ..s3.options import S3Options
from .drill_options import DrillOptions
from .goals import Goals
from .retention import Policy

CONFIG_DIRECTORY = Path("/etc/slipway/backup")
STATE_DIRECTORY = Path("/var/lib/slipway/backup")
LOCAL_DIRECTORY = Path("/var/backups/slipway")
VERSION = 1

MIB = 1024 * 1024
GIB = 1024 * MIB
SMALLEST_PART = 5 * MIB
MOST_PARTS = 10_000
LARGEST_OBJECT = 100 * GIB
# libpq reads a name with `=` or a scheme as a connection string, and a program reads a leading hyphen as an option.
DATABASE_NAME = re.compile(r"(?!-)(?!postgres(?:ql)?:)[^\x00=]{1,63}")


@dataclass(frozen=True)
class Spec:
    """One stack's backup of one kind. `postgres.database` is what is dumped; `settings` are the kind's own.

    `of` says which one where a stack has many of a kind: the slug of a tenant.
    """

    stack: str
    postgres: PostgresOptions
    kind: str = "postgres"
    of: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    s3: S3Options | None = None
    local_directory: str = ""
    level: int = 3
    threads: int = 2
    recipients: tuple[str, ...] = ()
    identity_file: str = ""
    keep_s3: Policy = field(default_factory=lambda: Policy(days=30))
    keep_local: Policy = field(default_factory=lambda: Policy(days=7))
    row_counts: bool = True
    lock_wait: float = 600.0
    bytes_per_second: int = 0
    part_bytes: int = 8 * MIB
    object_bytes: int = 64 * GIB
    client_directory: str = ""
    drill: DrillOptions = field(default_factory=DrillOptions)
    goals: Goals = field(default_factory=Goals)

    @property
    def encrypted(self) -> bool:
        return bool(self.recipients)

    @property
    def folder(self) -> str:
        """Where its backups lie, below the stack's place in the bucket or on the host."""
        return f"{self.kind}/{self.of}" if self.of else self.kind

    @property
    def state_directory(self) -> Path:
        return STATE_DIRECTORY / self.stack / self.folder

    def destinations(self) -> list[str]:
        """Where the copies go, as people read it."""
        s3 = [self.s3.describe()] if self.s3 else []
        return s3 + ([self.local_directory] if self.local_directory else [])


def load(stack: str, kind: str = "postgres") -> Spec:
    """The configuration that role backup installed for the stack, as it is for one kind of backup."""
    path = CONFIG_DIRECTORY / f"{validate.stack_name(stack)}.json"
    try:
        data = read_json(path)
    except ValueError as error:
        raise SlipwayError(
            f"The backup configuration {path} is damaged ({error}).",
            hint="Write it again with: ansible-playbook slipway.vps.site --tags backup",
        ) from None
    if data is None:
        known = ", ".join(configured()) or "none"
        raise SlipwayError(
            f"The stack {stack} has no backup configuration on this host ({path}; there are: {known}).",
            hint="Run: ansible-playbook slipway.vps.site --tags backup",
        )
    return from_dict(data, kind)


def kinds(stack: str) -> list[str]:
    """The kinds of backup that are configured for a stack, the database's own first."""
    return _kinds(read_json(CONFIG_DIRECTORY / f"{stack}.json", {}) or {})


def _kinds(data: Mapping[str, Any]) -> list[str]:
    database = ["postgres"] if data.get("database") else []
    return database + sorted(data.get("kinds") or {})


def configured() -> list[str]:
    """The stacks that have a backup on this host."""
    return sorted(path.stem for path in CONFIG_DIRECTORY.glob("*.json"))


def from_dict(data: Mapping[str, Any], kind: str = "postgres") -> Spec:
    """Checked, from the configuration file or a request of the same shape."""
    if data.get("version", VERSION) != VERSION:
        raise SlipwayError(
            f"The backup configuration has version {data.get('version')}, this agent reads {VERSION}.",
            hint="Run: ansible-playbook slipway.vps.site --tags agent,backup",
        )
    settings = dict((data.get("kinds") or {}).get(kind) or {})
    if kind not in _kinds(data):
        raise SlipwayError(
            f"The stack {data.get('stack')} has no backup of kind {kind} on this host.",
            hint=f"It has: {', '.join(_kinds(data)) or 'none'}.",
        )
    keep = {**(data.get("keep") or {}), **(settings.get("keep") or {})}
    encryption = data.get("encryption") or {}
    compression = data.get("compression") or {}
    spec = Spec(
        stack=validate.stack_name(str(data.get("stack", ""))),
        kind=kind,
        settings=settings,
        postgres=PostgresOptions.from_params(data.get("database") or {}),
        s3=S3Options.from_dict(data["s3"]) if data.get("s3") else None,
        local_directory=str(data.get("local_directory") or "") if settings.get("local", True) else "",
        level=int(compression.get("level", 3)),
        threads=int(compression.get("threads", 2)),
        recipients=tuple(encryption.get("recipients") or ()),
        identity_file=str(encryption.get("identity_file") or ""),
        keep_s3=Policy.from_dict(keep.get("s3") or {"days": 30}),
        keep_local=Policy.from_dict(keep.get("local") or {"days": 7}),
        row_counts=bool(data.get("row_counts", True)),
        lock_wait=float(data.get("lock_wait", 600.0)),
        bytes_per_second=int(data.get("bytes_per_second") or 0),
        part_bytes=int(data.get("part_bytes") or 8 * MIB),
        object_bytes=int(data.get("object_bytes") or 64 * GIB),
        client_directory=str(data.get("client_directory") or ""),
        drill=DrillOptions.from_dict(data.get("drill") or {}),
        goals=Goals.from_dict(data.get("goals")),
    )
    _check(spec)
    return spec


def _check(spec: Spec) -> None:
    if not spec.s3 and not spec.local_directory:
        raise SlipwayError(
            f"The backup of stack {spec.stack} has no destination.",
            hint="Set backup_s3_bucket, or backup_local_enabled for a copy on the host.",
        )
    if spec.kind == "postgres" and not DATABASE_NAME.fullmatch(spec.postgres.database):
        raise SlipwayError(
            f"The database name {spec.postgres.database!r} cannot be backed up.",
            hint="Use a name without `=`, without a leading hyphen and of at most 63 characters.",
        )
    if not 1 <= spec.level <= 19:
        raise SlipwayError(f"The compression level {spec.level} is not between 1 and 19.")
    if spec.part_bytes < SMALLEST_PART:
        raise SlipwayError(f"An S3 part has at least {SMALLEST_PART} bytes, not {spec.part_bytes}.")
    if spec.object_bytes > min(LARGEST_OBJECT, spec.part_bytes * MOST_PARTS) or spec.object_bytes < spec.part_bytes:
        raise SlipwayError(
            f"An object of {spec.object_bytes} bytes is not {MOST_PARTS} parts of {spec.part_bytes} at most.",
            hint="Objects have at most 100 GB; raise backup_part_size or lower backup_object_size.",
        )
    for recipient in spec.recipients:
        if not re.fullmatch(r"(age1|ssh-ed25519 |ssh-rsa )[\x21-\x7e ]+", recipient):
            raise SlipwayError(
                f"The encryption recipient {recipient!r} is not an age public key.",
                hint="Make a key pair with `age-keygen -o key.txt` and give the line that begins with age1.",
            )
