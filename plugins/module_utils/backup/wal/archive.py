# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The log in the bucket: `<prefix>/<stack>/wal/<system>/<timeline>/<segment>.zst[.age]`.

The database system's identifier is in the path: a new cluster never writes among the segments of an old one.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import Any

from ...common.errors import SlipwayError
from ...s3 import client as s3_client
from ...s3.errors import S3Error, explained
from ...s3.retry import persistent
from ..filters import Age, Zstd
from ..spec import Spec
from ..upload import stored_as
from .segments import HISTORY, NAME, PARTIAL

FOLDER = "wal"
POSITION = "position.json"
# Metadata of an object, which S3 sends as headers.
SHA256 = "sha256"
FINISHED = "finished"
COVERED = "covered"
# The shipper comes back by itself every few seconds; it must not hang on one request for minutes.
CONNECT_SECONDS = 5.0
READ_SECONDS = 15.0
TRIES = 2


@dataclass(frozen=True)
class Stored:
    """One object of the log."""

    name: str
    key: str
    bytes: int

    @property
    def encrypted(self) -> bool:
        return self.key.endswith(Age.suffix)


@dataclass
class Listing:
    """What the bucket holds of one database system."""

    segments: dict[str, Stored] = field(default_factory=dict)
    partials: dict[str, Stored] = field(default_factory=dict)
    histories: dict[int, Stored] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        return sum(one.bytes for group in (self.segments, self.partials) for one in group.values())


class Archive:
    """`patient`: for a restore, which asks once for each segment and would fail as a whole for one lost answer."""

    def __init__(self, spec: Spec, *, patient: bool = False) -> None:
        if spec.s3 is None:
            raise SlipwayError(f"The log of stack {spec.stack} has no bucket.", hint="Set backup_s3_bucket.")
        hasty = replace(
            spec.s3,
            connect_timeout=min(spec.s3.connect_timeout, CONNECT_SECONDS),
            read_timeout=min(spec.s3.read_timeout, READ_SECONDS),
            retries=min(spec.s3.retries, TRIES),
        )
        self._options = spec.s3 if patient else hasty
        self._folder = "/".join(part for part in (spec.s3.prefix, spec.stack, FOLDER) if part)
        self._suffix = Zstd.suffix + (Age.suffix if spec.encrypted else "")
        self._connection: Any = None

    @property
    def _client(self) -> Any:
        if self._connection is None:
            self._connection = s3_client.client(self._options)
        return self._connection

    def describe(self) -> str:
        return self._options.describe()

    def check(self) -> None:
        s3_client.check(self._options, self._client)

    def segment_key(self, system: str, name: str) -> str:
        return f"{self._folder}/{system}/{name[:8]}/{name}{self._suffix}"

    def history_key(self, system: str, name: str) -> str:
        return f"{self._folder}/{system}/{name}"

    def put(self, key: str, data: bytes, metadata: dict[str, str]) -> None:
        """Whole or not at all: the server compares the checksum before the object appears."""
        digest = base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()
        with explained(self._options, f"shipping {key.rsplit('/', 1)[-1]}"):
            self._client.put_object(
                Bucket=self._options.bucket,
                Key=key,
                Body=data,
                ContentMD5=digest,
                ContentType="application/octet-stream",
                Metadata=metadata,
                **stored_as(self._options),
            )

    def metadata(self, key: str) -> dict[str, str] | None:
        """What was noted with an object; None when there is none."""
        try:
            with explained(self._options, f"looking for {key.rsplit('/', 1)[-1]}"):
                found = self._client.head_object(Bucket=self._options.bucket, Key=key)
        except S3Error as error:
            if error.kind == "no_key":
                return None
            raise
        return {name.lower(): str(value) for name, value in (found.get("Metadata") or {}).items()}

    def get(self, key: str) -> bytes | None:
        try:
            return persistent(self._options, lambda: self._get(key))
        except S3Error as error:
            if error.kind == "no_key":
                return None
            raise

    def _get(self, key: str) -> bytes:
        with explained(self._options, f"reading {key.rsplit('/', 1)[-1]}"):
            return bytes(self._client.get_object(Bucket=self._options.bucket, Key=key)["Body"].read())

    def delete(self, key: str) -> None:
        with explained(self._options, f"deleting {key.rsplit('/', 1)[-1]}"):
            self._client.delete_object(Bucket=self._options.bucket, Key=key)

    def put_position(self, system: str, facts: dict[str, Any]) -> None:
        data = (json.dumps(facts, sort_keys=True) + "\n").encode()
        self.put(f"{self._folder}/{system}/{POSITION}", data, {})

    def position(self, system: str) -> dict[str, Any]:
        """The last word of the shipper about how far the log in the bucket reaches."""
        data = self.get(f"{self._folder}/{system}/{POSITION}")
        try:
            found = json.loads(data) if data else {}
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    def systems(self) -> list[str]:
        """The database systems of which there is any log."""
        prefix = f"{self._folder}/"
        with explained(self._options, "listing the log"):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._options.bucket, Prefix=prefix, Delimiter="/"
            )
            found = [str(one["Prefix"]) for page in pages for one in page.get("CommonPrefixes", [])]
        return sorted(name[len(prefix) :].strip("/") for name in found)

    def listing(self, system: str) -> Listing:
        prefix = f"{self._folder}/{system}/"
        found = Listing()
        with explained(self._options, "listing the log"):
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._options.bucket, Prefix=prefix)
            for page in pages:
                for one in page.get("Contents", []):
                    _sort(found, str(one["Key"]), int(one["Size"]))
        return found


def _sort(found: Listing, key: str, size: int) -> None:
    name = key.rsplit("/", 1)[-1]
    if history := HISTORY.fullmatch(name):
        found.histories[int(history.group(1), 16)] = Stored(name, key, size)
        return
    plain = name.removesuffix(Age.suffix).removesuffix(Zstd.suffix)
    if plain == name or not NAME.fullmatch(plain.removesuffix(PARTIAL)):
        return
    group = found.partials if plain.endswith(PARTIAL) else found.segments
    segment = plain.removesuffix(PARTIAL)
    group[segment] = Stored(segment, key, size)


def moment(when: datetime) -> str:
    """With microseconds: a restore is asked for to the moment."""
    return when.astimezone(timezone.utc).isoformat(timespec="microseconds")


def parse_moment(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else None
