# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A stream of unknown length into S3: multipart, constant memory, nothing visible before it is complete.

Every part carries its MD5, so the server itself refuses what was damaged on the way. Objects of at most `object_bytes`
keep any stream inside S3's limits. All of them stay open until `finish`: a stream that fails in its last second leaves
no object.
"""

from __future__ import annotations

import base64
import hashlib
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from ..common.errors import SlipwayError
from ..s3.errors import S3Error, explained
from ..s3.options import S3Options

THREADS = 2
ABORT_TRIES = 3


@dataclass
class Piece:
    """One object in the making."""

    key: str
    name: str
    upload_id: str
    parts: list[tuple[str, bytes]] = field(default_factory=list)
    bytes: int = 0
    digest: Any = field(default_factory=hashlib.sha256)
    completed: bool = False

    def etag(self) -> str:
        """What S3 answers for a multipart object: the MD5 of the parts' MD5s, and their number."""
        joined = hashlib.md5(b"".join(md5 for _, md5 in self.parts), usedforsecurity=False)
        return f"{joined.hexdigest()}-{len(self.parts)}"


class MultipartSink:
    """`write` until the end, then `finish`; `abort` on any failure."""

    def __init__(self, client: Any, options: S3Options, key: str, *, part_bytes: int, object_bytes: int) -> None:
        self._client = client
        self._options = options
        self._key = key
        self._part_bytes = part_bytes
        self._object_bytes = object_bytes
        self._buffer = bytearray()
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="slipway-upload")
        self._running: deque[tuple[Piece, int, Future[str]]] = deque()
        self.pieces: list[Piece] = []
        self._room = 0

    def write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            taken = view[: self._part_bytes - len(self._buffer)]
            self._buffer += taken
            view = view[len(taken) :]
            if len(self._buffer) == self._part_bytes:
                self._send()

    def finish(self) -> list[tuple[str, int, str]]:
        if self._buffer or not self.pieces:
            self._send()
        self._settle(0)
        self._pool.shutdown()
        for piece in self.pieces:
            self._complete(piece)
        return [(piece.name, piece.bytes, piece.digest.hexdigest()) for piece in self.pieces]

    def abort(self) -> None:
        """Leave nothing: a part that was under way may arrive after the first abort, so look and abort again."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._running.clear()
        failures = [failure for piece in self.pieces if (failure := self._abort_piece(piece))]
        if failures:
            raise failures[0]

    def _abort_piece(self, piece: Piece) -> SlipwayError | None:
        where = {"Bucket": self._options.bucket, "Key": piece.key}
        try:
            with explained(self._options, f"removing the unfinished {piece.name}"):
                if piece.completed:
                    self._client.delete_object(**where)
                    return None
                for _ in range(ABORT_TRIES):
                    self._client.abort_multipart_upload(**where, UploadId=piece.upload_id)
                    self._client.list_parts(**where, UploadId=piece.upload_id, MaxParts=1)
        except S3Error as error:
            # The upload is gone: that is what was asked for.
            return None if error.details.get("code") in ("NoSuchUpload", "NoSuchKey", "404") else error
        return None

    def _send(self) -> None:
        piece = self._piece()
        body, self._buffer = self._buffer, bytearray()
        md5 = hashlib.md5(body, usedforsecurity=False).digest()
        piece.digest.update(body)
        piece.bytes += len(body)
        piece.parts.append(("", md5))
        number = len(piece.parts)
        self._settle(THREADS - 1)
        future = self._pool.submit(self._upload, piece, number, body, md5)
        self._running.append((piece, number, future))

    def _piece(self) -> Piece:
        if self.pieces and self.pieces[-1].bytes + self._part_bytes <= self._object_bytes:
            return self.pieces[-1]
        number = len(self.pieces)
        key = self._key if number == 0 else f"{self._key}.{number:04d}"
        with explained(self._options, "starting an upload"):
            answer = self._client.create_multipart_upload(
                Bucket=self._options.bucket,
                Key=key,
                ContentType="application/octet-stream",
                **stored_as(self._options),
            )
        self.pieces.append(Piece(key, key.rsplit("/", 1)[-1], answer["UploadId"]))
        return self.pieces[-1]

    def _upload(self, piece: Piece, number: int, body: bytearray, md5: bytes) -> str:
        with explained(self._options, f"uploading part {number} of {piece.name}"):
            answer = self._client.upload_part(
                Bucket=self._options.bucket,
                Key=piece.key,
                UploadId=piece.upload_id,
                PartNumber=number,
                Body=body,
                ContentMD5=base64.b64encode(md5).decode(),
            )
        return str(answer["ETag"])

    def _settle(self, allowed: int) -> None:
        """Wait until at most `allowed` parts are under way; a failed one ends the stream here."""
        while len(self._running) > allowed:
            piece, number, future = self._running.popleft()
            piece.parts[number - 1] = (future.result(), piece.parts[number - 1][1])

    def _complete(self, piece: Piece) -> None:
        parts = [{"PartNumber": number, "ETag": tag} for number, (tag, _) in enumerate(piece.parts, 1)]
        with explained(self._options, f"completing {piece.name}"):
            self._client.complete_multipart_upload(
                Bucket=self._options.bucket,
                Key=piece.key,
                UploadId=piece.upload_id,
                MultipartUpload={"Parts": parts},
            )
        piece.completed = True


def stored_as(options: S3Options) -> dict[str, str]:
    """How the server is asked to keep an object."""
    wanted = {
        "ServerSideEncryption": options.sse,
        "SSEKMSKeyId": options.sse_kms_key_id,
        "StorageClass": options.storage_class,
    }
    return {name: value for name, value in wanted.items() if value}
