# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What every kind of backup has to be able to do. One more kind is one more file here, named in the registry."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from ...common.events import Emitter
from ..manifest import Manifest
from ..source import Command
from ..spec import Spec
from ..store import Store


@dataclass(frozen=True)
class Part:
    """One stream of a backup: its object's name without suffixes, its content as the manifest names it, its source."""

    name: str
    content: str
    source: Command | Iterable[bytes]
    expected_bytes: int = 0


class Content(Protocol):
    """What is read, all of it as of one moment."""

    def parts(self) -> Iterator[Part]:
        """The streams, the main one first. Each is read to its end before the next one is asked for."""

    def facts(self) -> Mapping[str, Any]:
        """Fields of the manifest that only this kind knows; asked once all parts are stored."""


class Kind(Protocol):
    name: str

    def __init__(self, spec: Spec) -> None: ...

    def describe(self) -> str:
        """What is read, for people: a database, a service, folders."""

    def open(self, emitter: Emitter) -> AbstractContextManager[Content]:
        """Look that everything is there and hold the moment; nothing is stored before this succeeds."""

    def prove(self, store: Store, known: Manifest, emitter: Emitter) -> None:
        """Read a stored backup back in full, through the program that would restore it."""
