# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Programs in a row, owned by this process: a stream counts only when every one of them ended well.

A shell's pipe reports its last program only: a killed pg_dump leaves a status of 0 and an object that looks normal.
Here the reader gets the bytes, then asks `finish`, and only after that completes what it wrote.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from types import TracebackType
from typing import IO, Any

from ..common.errors import SlipwayError
from ..common.process import tail
from .source import Command

CHUNK = 1024 * 1024
PIPE_BYTES = 1024 * 1024
KILL_AFTER_SECONDS = 5.0
SIGPIPE = 13
CAUSE_LINES = 3
CONTAINER_SIGNAL = 128

# What a program's last words mean for the next step.
HINTS = (
    ("out of shared memory", "Raise max_locks_per_transaction of the database server and restart it."),
    ("No space left on device", "Free disk space (`df -h`), then run it again."),
    ("is not running", "Start the stack's data services: slipway status"),
    ("No such container", "Check the container's name: docker ps"),
    ("WRONGPASS", "Set backup_redis.password to the one that the server is started with."),
    ("NOAUTH", "Set backup_redis.password to the one that the server is started with."),
    ("terminating connection", "The server ended the session: look at its log, then run `slipway backup run` again."),
    ("server closed the connection", "The server went away: look at its log, then run `slipway backup run` again."),
    ("server version mismatch", "Install a client that is not older than the server."),
    (
        "no pg_hba.conf entry for replication",
        "Add `local replication USER scram-sha-256` and `host replication USER 127.0.0.1/32 scram-sha-256` to the "
        "server's pg_hba.conf, then run SELECT pg_reload_conf().",
    ),
    ("to start WAL sender", "As a superuser: ALTER ROLE USER REPLICATION"),
    ("exceeds max_wal_senders", "Raise max_wal_senders and restart the server."),
    ("can only write single tablespace", "Base backups of servers with further tablespaces are not supported."),
    ("permission denied", "Give the backup's user the right to read everything (role pg_read_all_data)."),
    ("Unexpected EOF in archive", "The archive is cut off: restore another backup."),
    ("no identity matched", "The key does not belong to this backup: give the right backup_age_identity."),
    ("lock timeout", "Another session held a table for too long: run it again when it is quieter."),
)


class Child:
    """One program; its standard error is kept for the sentence."""

    def __init__(self, command: Command, *, stdin: Any, stdout: Any) -> None:
        self.command = command
        self.induced = False
        self._stderr: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (`close` ends it)
        try:
            self.process = subprocess.Popen(
                list(command.argv),
                stdin=stdin,
                stdout=stdout,
                stderr=self._stderr,
                env={**os.environ, **command.env},
            )
        except FileNotFoundError:
            self._stderr.close()
            raise SlipwayError(
                f"The program {command.argv[0]} is not installed on this host.",
                hint="Run: ansible-playbook slipway.vps.site --tags agent,backup",
            ) from None

    def stop(self) -> None:
        """End it if it still runs; that is then not its own failure."""
        if self.process.poll() is not None:
            return
        self.induced = True
        self.process.terminate()
        try:
            self.process.wait(KILL_AFTER_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def close(self) -> None:
        for stream in (self.process.stdin, self.process.stdout, self._stderr):
            if stream:
                with suppress(OSError):
                    stream.close()

    def failure(self) -> SlipwayError | None:
        """Wait for the end; a sentence unless it is a good one."""
        status = self.process.wait()
        if status in self.command.accepted:
            return None
        self._stderr.seek(0)
        said = tail(self._stderr.read().decode(errors="replace"))
        hint = next((text for mark, text in HINTS if mark in said), "")
        reason = f": {_cause(said)}" if said else "."
        return SlipwayError(
            f"{self.command.program} {_ending(status)}{reason}",
            hint=hint or "Nothing was kept. Look at `journalctl -k -n 50` and `docker ps`, then run it again.",
            details={"program": self.command.program, "status": status, "stderr": said},
        )

    def remark(self) -> str:
        """What a program said that ended well all the same, but not with status 0."""
        if self.process.returncode == 0:
            return ""
        self._stderr.seek(0)
        return tail(self._stderr.read().decode(errors="replace"))

    @property
    def died_of_reader(self) -> bool:
        return self.induced or self.process.returncode in (-SIGPIPE, CONTAINER_SIGNAL + SIGPIPE)


def _cause(said: str) -> str:
    """The lines from the first that speaks of an error on; what follows them is often only the statement."""
    lines = said.splitlines()
    first = next(
        (index for index, line in enumerate(lines) if "error" in line.lower()), max(0, len(lines) - CAUSE_LINES)
    )
    return " ".join(" ".join(lines[first : first + CAUSE_LINES]).split())


def _ending(status: int) -> str:
    signal = -status if status < 0 else status - CONTAINER_SIGNAL
    if status < 0 or status in (137, 143):
        return f"was killed (signal {signal})"
    return f"ended with status {status}"


class Pipeline:
    """`source | filter | filter`, read by iterating. The source is a program or any stream of bytes.

    `incoming` and `outgoing` tell bytes and SHA-256 of what went into the first filter and of what came out. Without a
    filter the source has to be a program.
    """

    def __init__(self, source: Command | Iterable[bytes], filters: Sequence[Command], *, rate: int = 0) -> None:
        self._source = source
        self._filters = list(filters)
        self._rate = rate
        self._children: list[Child] = []
        self._feeder: threading.Thread | None = None
        self._feeder_error: BaseException | None = None
        self.remarks: list[str] = []
        self.incoming = Tally()
        self.outgoing = Tally()

    def __enter__(self) -> Pipeline:
        try:
            self._start()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _start(self) -> None:
        origin: Child | Iterable[bytes]
        if isinstance(self._source, Command):
            origin = self._add(self._source, stdin=subprocess.DEVNULL)
        else:
            origin = self._source
        if not self._filters:
            return
        first = self._add(self._filters[0], stdin=subprocess.PIPE)
        for command in self._filters[1:]:
            before = self._children[-1].process.stdout
            self._add(command, stdin=before)
            if before:
                before.close()  # only the next program holds it now, so that its death is noticed
        self._feeder = threading.Thread(target=self._feed, args=(origin, first), name="slipway-feeder", daemon=True)
        self._feeder.start()

    def _add(self, command: Command, *, stdin: Any) -> Child:
        child = Child(command, stdin=stdin, stdout=subprocess.PIPE)
        self._children.append(child)
        for stream in (child.process.stdin, child.process.stdout):
            _widen(stream)
        return child

    def _feed(self, origin: Child | Iterable[bytes], first: Child) -> None:
        target = first.process.stdin
        if target is None:
            raise AssertionError("the first filter is started with a pipe")
        try:
            for chunk in _chunks(origin.process.stdout) if isinstance(origin, Child) else origin:
                self.incoming.add(chunk)
                _write_all(target.fileno(), chunk)
        except BrokenPipeError:
            if isinstance(origin, Child):
                origin.stop()  # the filter is gone; its status tells why
        except BaseException as error:
            # Raised again by `finish`, in the thread that can act on it.
            self._feeder_error = error
        finally:
            target.close()

    def __iter__(self) -> Iterator[bytes]:
        pace = Pace(self._rate)
        for chunk in _chunks(self._children[-1].process.stdout):
            self.outgoing.add(chunk)
            yield chunk
            pace.keep(self.outgoing.bytes)

    def finish(self) -> None:
        """Raise unless the source and every filter ended well and the whole stream was read."""
        if self._feeder:
            self._feeder.join()
        failures = [(child, failure) for child in self._children if (failure := child.failure())]
        if self._feeder_error:
            raise self._feeder_error
        # A program that lost its reader says so too; the cause is the one that failed by itself.
        failures.sort(key=lambda pair: pair[0].died_of_reader)
        if failures:
            raise failures[0][1]
        self.remarks = [line for child in self._children for line in child.remark().splitlines()]
        if not self.outgoing.bytes or (self._filters and not self.incoming.bytes):
            raise SlipwayError("The stream was empty: nothing was dumped.")

    def _end(self) -> None:
        for child in self._children:
            child.stop()
        if self._feeder:
            self._feeder.join(KILL_AFTER_SECONDS)
        for child in self._children:
            child.close()


class Consumer:
    """A program that a stream is written to. Leaving it by an exception kills it before it could see an end."""

    def __init__(self, command: Command) -> None:
        self._child = Child(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        self._descriptor = self._child.process.stdin.fileno() if self._child.process.stdin else -1
        _widen(self._child.process.stdin)

    def __enter__(self) -> Consumer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._child.stop()
        self._child.close()

    def write(self, data: bytes) -> None:
        try:
            _write_all(self._descriptor, data)
        except BrokenPipeError:
            failure = self._child.failure()
            raise failure or SlipwayError(f"{self._child.command.program} stopped reading before the end.") from None

    def finish(self) -> None:
        if self._child.process.stdin:
            with suppress(BrokenPipeError):
                self._child.process.stdin.close()
        failure = self._child.failure()
        if failure:
            raise failure


class Tally:
    """Counts and digests what passes."""

    def __init__(self) -> None:
        self.bytes = 0
        self._digest = hashlib.sha256()

    def add(self, data: bytes) -> None:
        self.bytes += len(data)
        self._digest.update(data)

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()


class Pace:
    """Keeps a stream under `rate` bytes a second (0 = as fast as it goes)."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._started = time.monotonic()

    def keep(self, done: int) -> None:
        if self._rate:
            time.sleep(max(0.0, done / self._rate - (time.monotonic() - self._started)))


def _chunks(stream: IO[bytes] | None) -> Iterator[bytes]:
    if stream is None:
        return
    while chunk := os.read(stream.fileno(), CHUNK):
        yield chunk


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _widen(stream: IO[bytes] | None) -> None:
    """A larger pipe means fewer switches between the programs; the kernel may refuse beyond the user's limit."""
    if stream is not None:
        with suppress(OSError, AttributeError):
            fcntl.fcntl(stream.fileno(), fcntl.F_SETPIPE_SZ, PIPE_BYTES)
