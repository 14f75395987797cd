# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ships the log: each finished segment once, the newest unfinished one every few seconds.

Nothing here is lost by being killed: what is not in the bucket is in the spool, what is not in the spool is held by the
server's slot, and what was shipped is noted after it was.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timezone

from ...common.errors import SlipwayError
from ...common.events import Emitter
from ...common.lock import FileLock
from ...s3.errors import S3Error
from ..spec import Spec
from .archive import COVERED, FINISHED, SHA256, Archive, moment
from .base import has_base
from .chain import Chain
from .options import WalOptions, spool_directory
from .packing import pack
from .receiver import Receiver
from .segments import PARTIAL, Segment, fault, format_lsn
from .server import Identity, Server, SlotState
from .spool import Line, Spool
from .status import Status

LOCK = "ship.lock"
LOCK_WAIT = 5.0
# How often the bucket is told that nothing is new.
POSITION_SECONDS = 60.0
BASE_SECONDS = 900.0
# Only asked while one is wanted.
BASE_LOOK_SECONDS = 5.0
MOST_SAMPLES = 10_000
SETTLED_SECONDS = 1.0
MISSED_TURNS = 3
# The receiver starts again when this much of the spool's room is free.
RESUME = 0.5


class Shipper:
    """`base_wanted` is called, seldom, when the log in the bucket has no base backup to begin at."""

    def __init__(self, spec: Spec, wal: WalOptions, emitter: Emitter, base_wanted: Callable[[str], None]) -> None:
        self._spec = spec
        self._wal = wal
        self._emitter = emitter
        self._base_wanted = base_wanted
        self._directory = spool_directory(spec)
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._directory.chmod(0o711)  # the status is for everybody, the log is not
        self._server = Server(spec.postgres, wal)
        self._receiver = Receiver(spec, wal, self._directory)
        self._spool = Spool(self._directory)
        self._archive = Archive(spec)
        self._chain = Chain(self._directory)
        self._samples: deque[tuple[float, int]] = deque(maxlen=MOST_SAMPLES)
        self._compared: set[str] = set()
        self._histories: set[str] = set()
        self._partial: tuple[str, float] | None = None
        self._full = False
        self._missed = 0
        self._reason = "there is none yet"
        self._asked = self._looked = self._told = 0.0
        self.status = Status(spec.stack)

    def run(self, stop: threading.Event, is_current: Callable[[], bool] = lambda: True) -> None:
        """Until told to stop, or replaced by another version; then once more, and the receiver ends, as nobody would
        look after it."""
        with FileLock(self._directory / LOCK, wait=LOCK_WAIT, what=f"ship the log of {self._spec.stack}"):
            while not stop.is_set() and is_current():
                started = time.monotonic()
                self.turn()
                stop.wait(max(0.2, self._wal.ship_seconds - (time.monotonic() - started)))
            self.turn()
            self.close()

    def close(self) -> None:
        with suppress(SlipwayError):
            self._receiver.stop()
        self._receiver.close()
        self._server.close()

    def turn(self) -> None:
        """One round. What fails is told, and tried again in the next."""
        failures: list[str] = []
        identity, state = None, None
        try:
            identity, state = self._watch()
        except SlipwayError as error:
            failures.append(str(error))
        try:
            self._ship(identity, state)
            if identity:
                self._look_for_base(identity)
        except SlipwayError as error:
            failures.append(str(error))
        self._report(identity, state, " ".join(failures))

    # The server and the receiver

    def _watch(self) -> tuple[Identity, SlotState]:
        identity = self._server.identity()
        self._chain.size(identity.segment_bytes)
        if self._server.limit_slots():
            self._emitter.info(f"The server now keeps {self._wal.keep_bytes} bytes of its log for a slot at most.")
        state = self._server.state()
        if not state.exists or state.lost:
            state = self._begin(identity, state)
        self._samples.append((state.time, state.current))
        self._receive(identity)
        return identity, state

    def _begin(self, identity: Identity, state: SlotState) -> SlotState:
        """A new slot holds the log from now on; what was written before it may be missing."""
        if state.lost:
            self._reason = (
                f"the server has thrown away log that the slot {self._wal.slot} still needed: it was held back for "
                "longer than max_slot_wal_keep_size allows"
            )
            self._emitter.info(f"A new base backup is needed: {self._reason}.")
        elif line := self._spool.line(identity.line):
            self._reason = "the replication slot is new" if line.path.exists() else "there is none yet"
        self._restart(identity)
        return self._server.state()

    def _restart(self, identity: Identity) -> None:
        self._receiver.stop()
        line = self._spool.line(identity.line)
        if line:
            line.set_aside()
        self._chain.cut(identity.line)
        self._server.drop_slot()
        self._server.create_slot()
        self._looked = 0.0

    def _receive(self, identity: Identity) -> None:
        waiting = self._spool.bytes()
        self._full = waiting > self._wal.spool_bytes * (RESUME if self._full else 1.0)
        if self._full:
            self._receiver.stop()
            raise SlipwayError(
                f"The spool {self._directory} is full: {waiting} bytes wait. The log now waits at the server.",
                hint="See why nothing is shipped: journalctl -u slipway-wal@" + self._spec.stack,
            )
        try:
            if self._receiver.keep(identity.line):
                self._emitter.info(f"The log of {identity.line} is received.")
        except SlipwayError as error:
            if error.details.get("removed"):
                # The slot and the spool disagree about where to go on; no waiting mends that.
                self._reason = "the server has not the log any more that should come next"
                self._restart(identity)
            raise

    # The bucket

    def _ship(self, identity: Identity | None, state: SlotState | None) -> None:
        size = self._chain.segment_bytes
        if not size:
            return
        lines = self._spool.lines()
        # While the server is away nobody knows which line goes on, so none is removed.
        over = {line.name for line in lines if identity and line.name != identity.line}
        for line in lines:
            self._ship_line(line, size, is_over=line.name in over)
        reached = self._reached(identity, state, size)
        covered = self._covered(reached)
        for line in lines:
            self._ship_partial(line, size, covered)
            if line.name in over:
                line.remove()
        if reached is not None:
            # The newest that is covered stays: under load the receiver is always a little behind the newest sample.
            while len(self._samples) > 1 and self._samples[1][1] <= reached:
                self._samples.popleft()
            self.status.shipped = format_lsn(reached)
            self.status.covered = covered or self.status.covered
            self._tell_position(identity)

    def _reached(self, identity: Identity | None, state: SlotState | None, size: int) -> int | None:
        """How far the receiver has written, if what it says it has is really there."""
        if identity is None or state is None or state.restart is None:
            return None
        line = self._spool.line(identity.line)
        here = Segment.at(identity.timeline, state.restart, size)
        before = Segment(here.timeline, here.number - 1, size)
        held = line is not None and (line.file(here).exists() or line.file(here, partial=True).exists())
        if held or (state.restart == here.start and self._chain.shipped(identity.line, before)):
            self._missed = 0
            return state.restart
        # A receiver that has just begun has not written yet; one that never shows anything writes somewhere else.
        self._missed += 1 if state.active else 0
        if self._missed >= MISSED_TURNS:
            self._missed = 0
            self._receiver.stop()
            raise SlipwayError(
                f"What was received is not in {self._directory}: somebody removed it. The receiver is started anew.",
                hint="If log is missing in the bucket now, a new base backup is made.",
            )
        return None

    def _covered(self, reached: int | None) -> str:
        """The last moment at which the server was not further than what is shipped now."""
        times = [when for when, lsn in self._samples if reached is not None and lsn <= reached]
        return moment(datetime.fromtimestamp(max(times), timezone.utc)) if times else ""

    def _ship_line(self, line: Line, size: int, *, is_over: bool) -> None:
        for path in line.histories():
            key = self._archive.history_key(line.system, path.name)
            if key not in self._histories:
                self._archive.put(key, path.read_bytes(), {})
                self._histories.add(key)
        finished = line.segments(size)
        for segment in finished:
            name = _chain_name(line)
            if not self._chain.shipped(name, segment):
                self._ship_segment(line, segment)
                if self._chain.add(name, segment):
                    self._reason = f"the log before segment {segment.name} is missing"
                    self._looked = 0.0
        # The receiver finds its place by the newest finished segment, so that one stays.
        for segment in finished if is_over else finished[:-1]:
            line.forget(segment)

    def _ship_segment(self, line: Line, segment: Segment) -> None:
        path = line.file(segment)
        data = path.read_bytes()
        if wrong := fault(data, segment, line.system):
            raise SlipwayError(f"The segment {path} is damaged: {wrong}.", hint="Look at the disk: journalctl -k")
        digest = hashlib.sha256(data).hexdigest()
        key = self._archive.segment_key(line.system, segment.name)
        if line.name not in self._compared:
            # The first one after a start: it may have been shipped without being noted, or by another server.
            if not self._is_new(key, digest, segment):
                self._compared.add(line.name)
                return
            self._compared.add(line.name)
        finished = datetime.fromtimestamp(path.stat().st_mtime, timezone.utc)
        self._archive.put(key, pack(self._spec, data), {SHA256: digest, FINISHED: moment(finished)})
        self.status.segments += 1
        # Where the key may not delete, the unfinished copy stays: the finished one goes before it.
        with suppress(S3Error):
            self._archive.delete(self._archive.segment_key(line.system, segment.name + PARTIAL))

    def _is_new(self, key: str, digest: str, segment: Segment) -> bool:
        known = self._archive.metadata(key)
        if known is None:
            return True
        if known.get(SHA256) == digest:
            return False
        raise SlipwayError(
            f"The bucket holds another segment {segment.name} of the same database system: the server was set back "
            "without a new timeline, or a second copy of it runs elsewhere.",
            hint="Nothing is overwritten. Stop the other one, or give this stack another backup_s3_prefix.",
        )

    def _ship_partial(self, line: Line, size: int, covered: str) -> None:
        segment = line.partial(size)
        if segment is None:
            return
        path = line.file(segment, partial=True)
        try:
            changed = path.stat().st_mtime
            known = (f"{line.name}/{segment.name}", changed)
            if known == self._partial:
                return
            # Two writes within one tick of the clock have one time: such a file is shipped once more.
            settled = time.time() - changed > SETTLED_SECONDS
            data = path.read_bytes()
        except FileNotFoundError:
            return  # it was finished in this moment
        if not fault(data, segment, line.system):
            key = self._archive.segment_key(line.system, segment.name + PARTIAL)
            # A shipper that has just started vouches for what the one before it did.
            covered = covered or (self._archive.metadata(key) or {}).get(COVERED, "")
            self._archive.put(key, pack(self._spec, data), {COVERED: covered} if covered else {})
            self._partial = known if settled else None
            self._told = time.monotonic() if covered else self._told

    def _tell_position(self, identity: Identity | None) -> None:
        if identity is None or not self.status.covered or time.monotonic() - self._told < POSITION_SECONDS:
            return
        facts = {COVERED: self.status.covered, "timeline": identity.timeline, "lsn": self.status.shipped}
        self._archive.put_position(identity.system, facts)
        self._told = time.monotonic()

    # The base backup

    def _look_for_base(self, identity: Identity) -> None:
        now = time.monotonic()
        if not self._reason or (self._looked and now - self._looked < BASE_LOOK_SECONDS):
            return
        self._looked = now
        first = self._chain.first(identity.line)
        if has_base(self._spec, identity, first):
            self._reason = ""
        elif not self._asked or now - self._asked >= BASE_SECONDS:
            self._asked = now
            self._base_wanted(self._reason)

    def _report(self, identity: Identity | None, state: SlotState | None, failure: str) -> None:
        status = self.status
        now = time.time()
        if failure and failure != status.failure:
            self._emitter.info(failure)
        elif status.failure and not failure:
            self._emitter.info("The log is shipped again.")
        status.failure = failure
        status.time = moment(datetime.fromtimestamp(now, timezone.utc))
        status.base_wanted = self._reason
        status.spool_bytes = self._spool.bytes()
        if identity:
            status.version, status.system, status.timeline = identity.version, identity.system, identity.timeline
        if state:
            status.position = format_lsn(state.current)
            status.lag_bytes = state.current - state.restart if state.restart is not None else None
            status.slot = {"status": state.status, "safe_bytes": state.safe_bytes, "active": state.active}
        with suppress(ValueError):
            covered = datetime.fromisoformat(status.covered).timestamp() if status.covered else None
            status.lag_seconds = round(max(0.0, now - covered), 1) if covered else None
        status.write(self._directory)


def _chain_name(line: Line) -> str:
    return f"{line.system}-{line.timeline:08X}"
