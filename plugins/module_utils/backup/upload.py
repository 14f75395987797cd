# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A stream of unknown length into one S3 object: multipart, constant memory, nothing visible before it is complete.

Every part carries its MD5, so the server itself refuses what was damaged on the way.
"""

from __future__ import annotations

import base64
import hashlib
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from ..s3.errors import S3Error, explained
from ..s3.options import S3Options

THREADS = 2
ABORT_TRIES = 3
GONE = ("NoSuchUpload", "NoSuchKey", "404")


class MultipartSink:
    """`write` until the end, then `finish`; `abort` on any failure."""

    def __init__(self, client: Any, options: S3Options, key: str, part_bytes: int) -> None:
        self.key = key
        self.bytes = 0
        self._client = client
        self._options = options
        self._part_bytes = part_bytes
        self._buffer = bytearray()
        self._md5s: list[bytes] = []
        self._tags: list[str] = []
        self._completed = False
        self._running: deque[Future[str]] = deque()
        self._where = {"Bucket": options.bucket, "Key": key}
        with explained(options, "starting an upload"):
            answer = client.create_multipart_upload(
                **self._where, ContentType="application/octet-stream", **stored_as(options)
            )
        self._upload_id = answer["UploadId"]
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="slipway-upload")

    @property
    def name(self) -> str:
        return self.key.rsplit("/", 1)[-1]

    def etag(self) -> str:
        """What S3 answers for a multipart object: the MD5 of the parts' MD5s, and their number."""
        joined = hashlib.md5(b"".join(self._md5s), usedforsecurity=False)
        return f"{joined.hexdigest()}-{len(self._md5s)}"

    def write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            taken = view[: self._part_bytes - len(self._buffer)]
            self._buffer += taken
            view = view[len(taken) :]
            if len(self._buffer) == self._part_bytes:
                self._send()

    def finish(self) -> None:
        if self._buffer or not self._md5s:
            self._send()
        self._settle(0)
        self._pool.shutdown()
        parts = [{"PartNumber": number, "ETag": tag} for number, tag in enumerate(self._tags, 1)]
        try:
            with explained(self._options, f"completing {self.name}"):
                self._client.complete_multipart_upload(
                    **self._where, UploadId=self._upload_id, MultipartUpload={"Parts": parts}
                )
        except S3Error as error:
            # A second try is told that there is no such upload when the first one's answer was lost.
            if error.details.get("code") not in GONE or not self._is_there():
                raise
        self._completed = True

    def _is_there(self) -> bool:
        """Whether an object of this size is at the key, which nobody else knows; `confirm` compares its checksum."""
        try:
            with explained(self._options, f"looking for {self.name}"):
                return bool(self._client.head_object(**self._where)["ContentLength"] == self.bytes)
        except S3Error as error:
            if error.kind == "no_key":
                return False
            raise

    def abort(self) -> None:
        """Leave nothing: a part that was under way may arrive after the first abort, so look and abort again."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._running.clear()
        self._buffer.clear()
        try:
            with explained(self._options, f"removing the unfinished {self.name}"):
                if self._completed:
                    self._client.delete_object(**self._where)
                    return
                for _attempt in range(ABORT_TRIES):
                    self._client.abort_multipart_upload(**self._where, UploadId=self._upload_id)
                    self._client.list_parts(**self._where, UploadId=self._upload_id, MaxParts=1)
        except S3Error as error:
            # That the upload is not there any more is what was asked for.
            if error.details.get("code") not in GONE:
                raise

    def _send(self) -> None:
        # The client copies what can still change, and shares what cannot.
        body, self._buffer = bytes(self._buffer), bytearray()
        md5 = hashlib.md5(body, usedforsecurity=False).digest()
        self._md5s.append(md5)
        self.bytes += len(body)
        self._settle(THREADS - 1)
        self._running.append(self._pool.submit(self._upload, len(self._md5s), body, md5))

    def _upload(self, number: int, body: bytes, md5: bytes) -> str:
        with explained(self._options, f"uploading part {number} of {self.name}"):
            answer = self._client.upload_part(
                **self._where,
                UploadId=self._upload_id,
                PartNumber=number,
                Body=body,
                ContentMD5=base64.b64encode(md5).decode(),
            )
        return str(answer["ETag"])

    def _settle(self, allowed: int) -> None:
        """Wait until at most `allowed` parts are under way; a failed one ends the stream here."""
        while len(self._running) > allowed:
            self._tags.append(self._running.popleft().result())


def stored_as(options: S3Options) -> dict[str, str]:
    """How the server is asked to keep an object."""
    wanted = {
        "ServerSideEncryption": options.sse,
        "SSEKMSKeyId": options.sse_kms_key_id,
        "StorageClass": options.storage_class,
    }
    return {name: value for name, value in wanted.items() if value}
