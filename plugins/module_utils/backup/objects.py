# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One stream into every store at once, cut into objects that no store finds too large.

All objects stay open until `finish`: a stream that fails in its last second leaves none.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..common.errors import SlipwayError
from .manifest import StoredObject
from .pipeline import Tally
from .store import Sink, Store


class Objects:
    def __init__(self, stores: Sequence[Store], identity: str, name: str, content: str, object_bytes: int) -> None:
        self._stores = stores
        self._identity = identity
        self._name = name
        self._content = content
        self._object_bytes = object_bytes
        self._open: list[tuple[str, Tally, list[Sink]]] = []

    def write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            if not self._open or self._open[-1][1].bytes == self._object_bytes:
                self._next()
            _name, tally, sinks = self._open[-1]
            taken = bytes(view[: self._object_bytes - tally.bytes])
            view = view[len(taken) :]
            tally.add(taken)
            for sink in sinks:
                sink.write(taken)

    def _next(self) -> None:
        number = len(self._open)
        name = self._name if number == 0 else f"{self._name}.{number:04d}"
        sinks: list[Sink] = []
        # Listed before it is filled, so that `abort` knows of every sink that was opened.
        self._open.append((name, Tally(), sinks))
        for store in self._stores:
            sinks.append(store.sink(self._identity, name))

    def finish(self) -> list[StoredObject]:
        for _name, _tally, sinks in self._open:
            for sink in sinks:
                sink.finish()
        return [StoredObject(name, self._content, tally.bytes, tally.sha256) for name, tally, _sinks in self._open]

    def abort(self) -> None:
        """Remove what can be removed now. The failure that led here is the one to tell, so others are left to the
        clean-up that follows it."""
        for _name, _tally, sinks in self._open:
            for sink in sinks:
                try:
                    sink.abort()
                except SlipwayError:
                    continue
