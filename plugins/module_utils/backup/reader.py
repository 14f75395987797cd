# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reading a backup back: every stored byte is compared with the manifest on its way."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from ..common.errors import SlipwayError
from . import filters
from .manifest import Manifest
from .pipeline import Pipeline
from .spec import Spec
from .store import Store

PLAIN = "none"


def stored(store: Store, manifest: Manifest, content: str) -> Iterator[bytes]:
    """The stored bytes of all objects of a content, in order; ends with an error unless each has its checksum."""
    for one in manifest.of_content(content):
        digest = hashlib.sha256()
        for chunk in store.read(manifest.id, one.name, one.bytes):
            digest.update(chunk)
            yield chunk
        if digest.hexdigest() != one.sha256:
            raise SlipwayError(
                f"The object {one.name} of backup {manifest.id} ({store.name}) is damaged: its SHA-256 is "
                f"{digest.hexdigest()}, the manifest says {one.sha256}.",
                hint=f"Restore another backup: {manifest.others()}",
            )


def opened(spec: Spec, store: Store, manifest: Manifest, content: str) -> Pipeline:
    """The same, decrypted and decompressed."""
    chain = filters.chain(spec, encrypted=manifest.encryption != PLAIN)
    return Pipeline(stored(store, manifest, content), filters.back(chain))


def confirm(manifest: Manifest, content: str, pipeline: Pipeline) -> None:
    """What came out is what once went in."""
    known = manifest.contents[content]
    if pipeline.outgoing.sha256 != known.sha256:
        raise SlipwayError(
            f"The {content} of backup {manifest.id} does not unpack to what was dumped: {pipeline.outgoing.bytes} "
            f"bytes instead of {known.bytes}.",
            hint=f"Restore another backup: {manifest.others()}",
        )


def try_key(spec: Spec, store: Store, manifest: Manifest, content: str) -> None:
    """The first bytes of one content: a key that does not fit is known after a moment, not after the download."""
    with opened(spec, store, manifest, content) as pipeline:
        if next(iter(pipeline), b""):
            return
        pipeline.finish()
