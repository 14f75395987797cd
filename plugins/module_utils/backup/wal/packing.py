# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One segment through the filters of the backup engine, and back."""

from __future__ import annotations

from pathlib import Path

from ..filters import Age, Filter, Zstd, back, forth
from ..pipeline import Pipeline
from ..spec import Spec

# Speed counts here: the same segment passes many times until it is full.
LEVEL = 1


def _chain(spec: Spec, *, encrypted: bool) -> list[Filter]:
    filters: list[Filter] = [Zstd(LEVEL, 1)]
    return [*filters, Age(spec.recipients, spec.identity_file)] if encrypted else filters


def pack(spec: Spec, data: bytes) -> bytes:
    with Pipeline([data], forth(_chain(spec, encrypted=spec.encrypted))) as pipeline:
        packed = b"".join(pipeline)
        pipeline.finish()
    return packed


def unpack(spec: Spec, data: bytes, target: Path, *, encrypted: bool) -> None:
    """Into a file. A damaged object is refused by the checksum of zstd, a foreign one by age."""
    with (
        Pipeline([data], back(_chain(spec, encrypted=encrypted))) as pipeline,
        target.open("wb") as file,
    ):
        for chunk in pipeline:
            file.write(chunk)
        pipeline.finish()
