# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Backups in a bucket: `<prefix>/<stack>/<kind>/<id>/<object>`, with the manifest as the last object."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from ..common.errors import SlipwayError
from ..s3 import client as s3_client
from ..s3.errors import S3Error, explained
from ..s3.options import S3Options
from ..s3.retry import pause, persistent
from . import manifest
from .upload import GONE, MultipartSink, stored_as

CHUNK = 1024 * 1024


class S3Store:
    name = "s3"

    def __init__(self, options: S3Options, stack: str, kind: str, part_bytes: int) -> None:
        self.options = options
        self._folder = "/".join(part for part in (options.prefix, stack, kind) if part)
        self._part_bytes = part_bytes
        self._connection: Any = None
        self._sinks: list[MultipartSink] = []

    @property
    def _client(self) -> Any:
        if self._connection is None:
            self._connection = s3_client.client(self.options)
        return self._connection

    def check(self) -> None:
        s3_client.check(self.options, self._client)

    def sink(self, identity: str, name: str) -> MultipartSink:
        sink = MultipartSink(self._client, self.options, self._key(identity, name), self._part_bytes)
        self._sinks.append(sink)
        return sink

    def confirm(self, identity: str) -> str:
        found = {self._confirm(sink) for sink in self._sinks}
        return "size" if "size" in found else "checksum"

    def commit(self, identity: str, data: bytes) -> None:
        self.put(identity, manifest.NAME, data)

    def _confirm(self, sink: MultipartSink) -> str:
        """Ask the server what it holds. Its ETag is a checksum unless it encrypts with keys of a key service."""
        with explained(self.options, f"confirming {sink.name}"):
            head = self._client.head_object(Bucket=self.options.bucket, Key=sink.key)
        comparable = not str(head.get("ServerSideEncryption", "")).startswith("aws:kms")
        etag = str(head["ETag"]).strip('"')
        if head["ContentLength"] != sink.bytes or (comparable and etag != sink.etag()):
            raise S3Error(
                f"The S3 server holds something else than was sent as {sink.name}: {head['ContentLength']} bytes "
                f"with checksum {etag}, sent were {sink.bytes} bytes with {sink.etag()}.",
                kind="damaged",
                hint="Do not trust this server before its disks are checked.",
            )
        return "checksum" if comparable else "size"

    def discard(self, identity: str) -> None:
        if self.get(identity, manifest.NAME) is not None:
            raise SlipwayError(f"The backup {identity} has a manifest: it is not an unfinished one.")
        prefix = self._key(identity, "")
        self._abort_uploads(prefix)
        self._delete_keys([key for key, _size in self._keys(prefix)])

    def tidy(self, identity: str) -> None:
        """An upload whose begin was answered but not heard was begun twice: the first one is nobody's."""
        try:
            self._abort_uploads(self._key(identity, ""))
        except S3Error as error:
            # A key that may only add: the bucket's own rules end such uploads.
            if error.kind != "refused":
                raise

    def strays(self) -> set[str]:
        prefix = self._key("", "")
        found = {identity for identity, names in self.listing().items() if manifest.NAME not in names}
        for key, _upload in self._uploads(prefix):
            identity = key[len(prefix) :].partition("/")[0]
            if manifest.is_id(identity) and self.get(identity, manifest.NAME) is None:
                found.add(identity)
        return found

    def _uploads(self, prefix: str) -> list[tuple[str, str]]:
        with explained(self.options, "listing unfinished uploads"):
            pages = self._client.get_paginator("list_multipart_uploads").paginate(
                Bucket=self.options.bucket, Prefix=prefix
            )
            return [(str(one["Key"]), str(one["UploadId"])) for page in pages for one in page.get("Uploads", [])]

    def _abort_uploads(self, prefix: str) -> None:
        for key, upload in self._uploads(prefix):
            try:
                with explained(self.options, "removing an unfinished upload"):
                    self._client.abort_multipart_upload(Bucket=self.options.bucket, Key=key, UploadId=upload)
            except S3Error as error:
                # That it is not there any more is what was asked for.
                if error.details.get("code") not in GONE:
                    raise

    def listing(self) -> dict[str, dict[str, int]]:
        prefix = self._key("", "")
        found: dict[str, dict[str, int]] = {}
        for key, size in self._keys(prefix):
            identity, _slash, name = key[len(prefix) :].partition("/")
            if manifest.is_id(identity) and name and "/" not in name:
                found.setdefault(identity, {})[name] = size
        return found

    def read(self, identity: str, name: str, size: int) -> Iterator[bytes]:
        """The whole object; a connection that breaks is taken up again where it broke."""
        done = 0
        failures = 0
        while done < size:
            try:
                for chunk in self._from(identity, name, done):
                    done += len(chunk)
                    yield chunk
            except S3Error as error:
                failures += 1
                if error.kind != "unreachable" or failures > self.options.retries:
                    raise
                time.sleep(pause(failures))
                continue
            break
        if done != size:
            raise SlipwayError(
                f"The object {name} of backup {identity} has {done} bytes, its manifest says {size}: it is damaged.",
                hint="Restore another backup: slipway backup list",
            )

    def _from(self, identity: str, name: str, offset: int) -> Iterator[bytes]:
        span = {"Range": f"bytes={offset}-"} if offset else {}
        with explained(self.options, f"reading {name} of {identity}"):
            body = self._client.get_object(Bucket=self.options.bucket, Key=self._key(identity, name), **span)["Body"]
            try:
                while chunk := body.read(CHUNK):
                    yield chunk
            finally:
                body.close()

    def get(self, identity: str, name: str) -> bytes | None:
        try:
            return persistent(self.options, lambda: self._get(identity, name))
        except S3Error as error:
            if error.kind == "no_key":
                return None
            raise

    def _get(self, identity: str, name: str) -> bytes:
        with explained(self.options, f"reading {name} of {identity}"):
            answer = self._client.get_object(Bucket=self.options.bucket, Key=self._key(identity, name))
            return bytes(answer["Body"].read())

    def put(self, identity: str, name: str, data: bytes) -> None:
        with explained(self.options, f"writing {name} of {identity}"):
            self._client.put_object(
                Bucket=self.options.bucket,
                Key=self._key(identity, name),
                Body=data,
                ContentType="application/json",
                **stored_as(self.options),
            )

    def delete(self, identity: str) -> None:
        prefix = self._key(identity, "")
        # Without its manifest it is no backup any more, whatever happens to the rest.
        self._delete_keys([prefix + manifest.NAME])
        self._delete_keys([key for key, _size in self._keys(prefix)])

    def _key(self, identity: str, name: str) -> str:
        return "/".join((self._folder, identity, name) if identity else (self._folder, ""))

    def _keys(self, prefix: str) -> list[tuple[str, int]]:
        with explained(self.options, "listing"):
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.options.bucket, Prefix=prefix)
            return [(str(one["Key"]), int(one["Size"])) for page in pages for one in page.get("Contents", [])]

    def _delete_keys(self, keys: list[str]) -> None:
        # One by one: the batch request needs a checksum that old libraries and some servers disagree about.
        for key in keys:
            with explained(self.options, f"deleting {key}"):
                self._client.delete_object(Bucket=self.options.bucket, Key=key)
