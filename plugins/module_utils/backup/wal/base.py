# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The base backup: `pg_basebackup` as a stream through the backup engine. Its log is in the archive."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ...common.errors import SlipwayError
from ...common.events import Emitter
from .. import catalog, manifest, reader
from ..kinds.base import Part
from ..manifest import Manifest
from ..pipeline import Consumer
from ..progress import Progress
from ..source import Client, Command
from ..spec import Spec
from ..store import Store, stores
from .archive import moment, parse_moment
from .options import KIND, WalOptions, checked
from .segments import format_lsn, parse_lsn
from .server import Identity, Server

CONTENT = "base"


class Base:
    name = KIND

    def __init__(self, spec: Spec) -> None:
        self.spec = checked(spec)
        self.wal = WalOptions.from_dict(spec.settings)

    def describe(self) -> str:
        return f"all databases of {self.spec.postgres.place()}"

    @contextmanager
    def open(self, emitter: Emitter) -> Iterator[Copy]:
        server = Server(self.spec.postgres, self.wal)
        try:
            identity = server.identity()
            state = server.state()
            if not state.exists or state.lost:
                raise SlipwayError(
                    "A base backup is of no use without the log that follows it, and nothing holds the log.",
                    hint=f"Start its shipping first: systemctl start slipway-wal@{self.spec.stack}",
                )
            client = Client(self.spec.postgres, f"slipway base {self.spec.stack}", self.spec.client_directory)
            yield Copy(self.spec, server, identity, client)
        finally:
            server.close()

    def prove(self, store: Store, known: Manifest, emitter: Emitter) -> None:
        """Stored checksum, decryption, decompression, checksum, and tar's own parser, in one pass."""
        parser = Command(("tar", "--list", "--file=-"))
        with reader.opened(self.spec, store, known, CONTENT) as pipeline, Consumer(parser) as tar:
            progress = Progress(emitter, "verify", known.dump_bytes)
            for chunk in pipeline:
                tar.write(chunk)
                progress.at(pipeline.outgoing.bytes)
            pipeline.finish()
            reader.confirm(known, CONTENT, pipeline)
            tar.finish()


class Copy:
    """A base backup while it is made. Its bounds are asked for before and after, so they are never too narrow."""

    def __init__(self, spec: Spec, server: Server, identity: Identity, client: Client) -> None:
        self._spec = spec
        self._server = server
        self._identity = identity
        self._client = client
        self._start, self._started = server.position()

    def parts(self) -> Iterator[Part]:
        command = self._client.command(
            "pg_basebackup",
            "--pgdata=-",
            "--format=tar",
            "--wal-method=none",
            "--checkpoint=fast",
            "--label=slipway",
            "--no-password",
        )
        yield Part("base.tar", CONTENT, command, self._server.bytes())

    def facts(self) -> Mapping[str, Any]:
        stop, stopped = self._server.position()
        return {
            "snapshot_time": manifest.moment(self._started),
            "database": self._spec.postgres.database,
            "server_version": self._identity.version,
            "client_version": self._identity.version,
            "wal_lsn": format_lsn(self._start),
            "row_counts": False,
            "details": {
                "system": self._identity.system,
                "timeline": self._identity.timeline,
                "segment_bytes": self._identity.segment_bytes,
                "start_lsn": format_lsn(self._start),
                "stop_lsn": format_lsn(stop),
                "stopped": moment(stopped),
            },
        }


@dataclass(frozen=True)
class BaseBackup:
    """One base backup as the plans see it."""

    id: str
    system: str
    timeline: int
    segment_bytes: int
    start: int
    stop: int
    stopped: datetime
    bytes: int
    complete: bool = True
    version: str = ""

    @property
    def first(self) -> int:
        """The number of the first segment that it needs."""
        return self.start // self.segment_bytes


def from_manifest(known: Manifest, *, complete: bool = True) -> BaseBackup:
    details = known.details
    try:
        stopped = parse_moment(str(details["stopped"]))
        if stopped is None:
            raise ValueError("stopped")
        return BaseBackup(
            id=known.id,
            system=str(details["system"]),
            timeline=int(details["timeline"]),
            segment_bytes=int(details["segment_bytes"]),
            start=parse_lsn(str(details["start_lsn"])),
            stop=parse_lsn(str(details["stop_lsn"])),
            stopped=stopped,
            bytes=known.dump_bytes,
            complete=complete,
            version=known.server_version,
        )
    except (KeyError, ValueError) as error:
        raise SlipwayError(
            f"The manifest of base backup {known.id} is damaged ({error}).",
            hint=f"Make a new one: slipway wal base {known.stack}",
        ) from None


def known_bases(spec: Spec, damaged: list[str] | None = None) -> list[BaseBackup]:
    """Every base backup of the stack, oldest first."""
    return [from_manifest(one.manifest, complete=one.complete) for one in catalog.entries(stores(spec), damaged)]


def has_base(spec: Spec, identity: Identity, first: int | None) -> bool:
    """Whether one of this line begins inside what is shipped without a gap."""
    return any(
        one.complete
        and (one.system, one.timeline) == (identity.system, identity.timeline)
        and first is not None
        and one.first >= first
        for one in known_bases(spec)
    )
