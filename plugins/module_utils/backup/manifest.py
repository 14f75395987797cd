# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The manifest: what a backup is, written last. Without it there is no backup.

`docs/back-up.md` describes every field. A reader accepts its own version and older ones.
"""

from __future__ import annotations

import json
import re
import secrets
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from typing import Any

from ..common.errors import SlipwayError
from ..common.version import __version__

FORMAT = "slipway-backup"
VERSION = 1
NAME = "manifest.json"
VERIFIED = "verified.json"
RESTORED = "restored.json"
IDENTITY = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{6}")
STAMP = "%Y%m%dT%H%M%SZ"
MOMENT = "%Y-%m-%dT%H:%M:%SZ"


class ManifestError(SlipwayError):
    """A manifest that this version cannot read."""


def list_command(stack: str, kind: str, of: str = "") -> str:
    """What shows the other backups of the same sort."""
    return f"slipway tenants exports {stack} {of}" if of else f"slipway backup list {stack} --kind {kind}"


def new_id(now: datetime) -> str:
    """Sorts by time, and two made in one second still differ."""
    return f"{now.strftime(STAMP)}-{secrets.token_hex(3)}"


def is_id(text: str) -> bool:
    return bool(IDENTITY.fullmatch(text))


def time_of(identity: str) -> datetime:
    return datetime.strptime(identity.partition("-")[0], STAMP).replace(tzinfo=timezone.utc)


def moment(when: datetime) -> str:
    return when.astimezone(timezone.utc).strftime(MOMENT)


def parse_moment(text: str) -> datetime:
    return datetime.strptime(text, MOMENT).replace(tzinfo=timezone.utc)


@dataclass(frozen=True)
class StoredObject:
    """One object (or local file) of a backup; `content` is the part that it belongs to, such as database, in order."""

    name: str
    content: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Dumped:
    """One content as it was before compression and encryption; what a reader has to get back."""

    bytes: int
    sha256: str


@dataclass
class Manifest:
    """Everything that is known about one backup; what a kind has no use for is empty."""

    id: str
    stack: str
    snapshot_time: str
    finished: str
    seconds: float
    dump_bytes: int
    stored_bytes: int
    objects: list[StoredObject]
    contents: dict[str, Dumped]
    compression: str
    encryption: str
    recipients: list[str] = field(default_factory=list)
    database: str = ""
    server_version: str = ""
    client_version: str = ""
    wal_lsn: str = ""
    database_bytes: int = 0
    tables: dict[str, int] = field(default_factory=dict)
    row_counts: bool = True
    extensions: dict[str, str] = field(default_factory=dict)
    roles: list[str] = field(default_factory=list)
    properties: dict[str, str] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)
    confirmed: dict[str, str] = field(default_factory=dict)
    kind: str = "postgres"
    format: str = FORMAT
    version: int = VERSION
    slipway_version: str = __version__

    def of_content(self, content: str) -> list[StoredObject]:
        return [one for one in self.objects if one.content == content]

    def others(self) -> str:
        """The command that lists the others of its sort."""
        return list_command(self.stack, self.kind, str(self.details.get("tenant", {}).get("slug", "")))

    def total_bytes(self) -> int:
        return sum(one.bytes for one in self.objects)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def to_bytes(self) -> bytes:
        return (json.dumps(self.as_dict(), indent=2, sort_keys=True) + "\n").encode()


def parse(data: bytes, place: str) -> Manifest:
    """Read a manifest; `place` is for the sentence when it is none."""
    try:
        found = json.loads(data)
        if found["format"] != FORMAT:
            raise KeyError("format")
        if int(found["version"]) > VERSION:
            raise ManifestError(
                f"The manifest {place} has version {found['version']}, this agent reads up to {VERSION}.",
                hint="Update the collection and run: ansible-playbook slipway.vps.site --tags agent",
            )
        objects = [StoredObject(**one) for one in found.pop("objects")]
        contents = {name: Dumped(**one) for name, one in found.pop("contents").items()}
        return Manifest(objects=objects, contents=contents, **found)
    except (ValueError, KeyError, TypeError) as error:
        raise ManifestError(
            f"The manifest {place} is damaged ({type(error).__name__}: {error}).",
            hint="Restore another backup: slipway backup list",
        ) from None
