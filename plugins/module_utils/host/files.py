# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A set of configuration files as one transaction: write all, test, apply; or put everything back as it was."""

from __future__ import annotations

import contextlib
import glob
import grp
import hashlib
import os
import pwd
import re
import shlex
import stat
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..common.errors import SlipwayError
from ..common.files import fsync_directory, remove, touch
from ..common.process import CommandError, run

COMMAND_TIMEOUT = 120.0
HIDDEN = "(content not shown)\n"
# Cleared by a reboot, and after a reboot every service has read its files anyway.
PENDING_DIRECTORY = "/run/slipway"


@dataclass(frozen=True)
class FileSpec:
    path: str
    content: str
    mode: int = 0o644
    owner: str = "root"
    group: str = "root"
    validate: tuple[str, ...] = ()
    secret: bool = False


@dataclass(frozen=True)
class DirectorySpec:
    path: str
    mode: int = 0o755
    owner: str = "root"
    group: str = "root"


@dataclass(frozen=True)
class LiveCheck:
    """A read-only command whose success, and output, tell that the files are what the system runs with."""

    argv: tuple[str, ...]
    expect: str = ""

    def holds(self) -> bool:
        try:
            done = run(self.argv, timeout=COMMAND_TIMEOUT, check=False)
        except CommandError:
            return False
        return done.rc == 0 and re.search(self.expect, done.stdout, re.MULTILINE) is not None


@dataclass(frozen=True)
class Revert:
    """The way back that opens by itself unless `systemctl stop UNIT.timer` closes it in time."""

    name: str
    after: int

    @property
    def unit(self) -> str:
        return f"slipway-revert-{self.name}"


@dataclass(frozen=True)
class FileSet:
    """What must be on disk, how it is tested as a whole, and what makes it live."""

    files: tuple[FileSpec, ...] = ()
    directories: tuple[DirectorySpec, ...] = ()
    absent: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    apply: tuple[tuple[str, ...], ...] = ()
    live: tuple[LiveCheck, ...] = ()
    revert: Revert | None = None


@dataclass
class Report:
    changed_paths: list[str] = field(default_factory=list)
    diff: list[dict[str, Any]] = field(default_factory=list)
    applied: bool = False
    not_live: list[str] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        return bool(self.changed_paths) or self.applied


@dataclass(frozen=True)
class Snapshot:
    """A file as it was: enough to put it back."""

    path: str
    content: bytes | None
    mode: int = 0
    uid: int = 0
    gid: int = 0

    @classmethod
    def take(cls, path: str) -> Snapshot:
        try:
            status = os.stat(path)
            return cls(path, Path(path).read_bytes(), stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid)
        except FileNotFoundError:
            return cls(path, None)

    def text(self) -> str:
        return "" if self.content is None else self.content.decode("utf-8", errors="replace")

    def put_back(self) -> None:
        if self.content is None:
            remove(self.path)
        else:
            _replace(self.path, self.content, self.mode, self.uid, self.gid)


def converge(wanted: FileSet, *, check: bool = False, pending_directory: str = PENDING_DIRECTORY) -> Report:
    """Make the host match `wanted`; with `check` only say what would change."""
    report = Report()
    before = _plan(wanted, report)
    report.not_live = [shlex.join(item.argv) for item in wanted.live if not item.holds()]
    marker = _pending(wanted, pending_directory)
    must_apply = bool(wanted.apply) and (bool(before) or bool(report.not_live) or marker.exists())
    if check:
        report.applied = must_apply
        return report
    with _marked(marker if must_apply else None):
        for directory in wanted.directories:
            _make_directory(directory)
        with _restoring(before):
            _write(wanted, before)
            if before and wanted.test:
                _test(wanted.test)
            if before and wanted.revert:
                _arm(wanted.revert, before, wanted.apply, pending_directory)
            if must_apply:
                _apply(wanted.apply, before)
                report.applied = True
    return report


def _plan(wanted: FileSet, report: Report) -> list[Snapshot]:
    """Fill the report and return a snapshot of each file that will be written or removed."""
    for directory in wanted.directories:
        _compare_directory(directory, report)
    before = []
    for spec in wanted.files:
        snapshot = Snapshot.take(spec.path)
        if _differs(spec, snapshot):
            before.append(snapshot)
            report.changed_paths.append(spec.path)
            report.diff.append(_file_diff(spec, snapshot))
    for path in expand(wanted.absent):
        snapshot = Snapshot.take(path)
        before.append(snapshot)
        report.changed_paths.append(path)
        report.diff.append({"before_header": path, "after_header": path, "before": snapshot.text(), "after": ""})
    return before


def expand(patterns: Sequence[str]) -> list[str]:
    """The existing files (never directories) that the paths and patterns name."""
    found = {path for pattern in patterns for path in glob.glob(pattern)}
    return sorted(path for path in found if os.path.islink(path) or os.path.isfile(path))


def _differs(spec: FileSpec, snapshot: Snapshot) -> bool:
    if snapshot.content is None:
        return True
    return (snapshot.content, snapshot.mode, snapshot.uid, snapshot.gid) != (
        spec.content.encode(),
        spec.mode,
        _uid(spec.owner),
        _gid(spec.group),
    )


def _file_diff(spec: FileSpec, snapshot: Snapshot) -> dict[str, Any]:
    if spec.secret:
        before, after = ("" if snapshot.content is None else HIDDEN), HIDDEN
    else:
        before, after = snapshot.text(), spec.content
    if snapshot.content is not None and snapshot.content == spec.content.encode():
        before = f"mode {snapshot.mode:04o}, uid {snapshot.uid}, gid {snapshot.gid}\n"
        after = f"mode {spec.mode:04o}, owner {spec.owner}, group {spec.group}\n"
    return {"before_header": spec.path, "after_header": spec.path, "before": before, "after": after}


def _compare_directory(spec: DirectorySpec, report: Report) -> None:
    after = f"mode {spec.mode:04o}, owner {spec.owner}, group {spec.group}\n"
    try:
        status = os.stat(spec.path)
    except FileNotFoundError:
        before = ""
    else:
        if not stat.S_ISDIR(status.st_mode):
            raise SlipwayError(
                f"{spec.path} must be a directory, but something else has that name.",
                hint=f"Look at it (ls -l {spec.path}), move it away and run the play again.",
            )
        found = (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid)
        if found == (spec.mode, _uid(spec.owner), _gid(spec.group)):
            return
        before = f"mode {found[0]:04o}, uid {found[1]}, gid {found[2]}\n"
    report.changed_paths.append(spec.path)
    report.diff.append({"before_header": spec.path, "after_header": spec.path, "before": before, "after": after})


def _uid(owner: str) -> int:
    """The user's number; -1 when it does not exist yet (only a plan may meet that)."""
    try:
        return int(owner) if owner.isdigit() else pwd.getpwnam(owner).pw_uid
    except KeyError:
        return -1


def _gid(group: str) -> int:
    try:
        return int(group) if group.isdigit() else grp.getgrnam(group).gr_gid
    except KeyError:
        return -1


def _owner(spec: FileSpec | DirectorySpec) -> tuple[int, int]:
    uid, gid = _uid(spec.owner), _gid(spec.group)
    if uid < 0 or gid < 0:
        raise SlipwayError(
            f"{spec.path} should belong to {spec.owner}:{spec.group}, but this host has no such user or group.",
            hint="Create it first, or name another owner.",
        )
    return uid, gid


def _make_directory(spec: DirectorySpec) -> None:
    uid, gid = _owner(spec)
    os.makedirs(spec.path, exist_ok=True)
    os.chown(spec.path, uid, gid)
    os.chmod(spec.path, spec.mode)


def _write(wanted: FileSet, before: Sequence[Snapshot]) -> None:
    changing = {snapshot.path for snapshot in before}
    wanted_paths = set()
    for spec in wanted.files:
        wanted_paths.add(spec.path)
        if spec.path in changing:
            uid, gid = _owner(spec)
            os.makedirs(os.path.dirname(spec.path), exist_ok=True)
            _replace(spec.path, spec.content.encode(), spec.mode, uid, gid, spec.validate)
    for path in sorted(changing - wanted_paths):
        remove(path)


def _replace(path: str, content: bytes, mode: int, uid: int, gid: int, validate: tuple[str, ...] = ()) -> None:
    directory, name = os.path.split(path)
    descriptor, temporary = tempfile.mkstemp(prefix=f".{name}.", dir=directory)
    try:
        with os.fdopen(descriptor, "wb") as handle:
            os.fchown(handle.fileno(), uid, gid)
            os.fchmod(handle.fileno(), mode)
            handle.write(content)
            handle.flush()
            os.fsync(handle.fileno())
        if validate:
            _validate(path, temporary, validate)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    fsync_directory(directory)


def _validate(path: str, temporary: str, argv: tuple[str, ...]) -> None:
    try:
        run([word.replace("{path}", temporary) for word in argv], timeout=COMMAND_TIMEOUT)
    except CommandError as error:
        raise SlipwayError(
            f"The new {path} was refused by its own check: {_reason(error).replace(temporary, path)}",
            hint="Nothing was changed. Correct the variable that this line comes from and run the play again.",
        ) from error


def _test(argv: tuple[str, ...]) -> None:
    try:
        run(argv, timeout=COMMAND_TIMEOUT)
    except CommandError as error:
        raise SlipwayError(
            f"`{' '.join(argv)}` refuses the new configuration: {_reason(error)}",
            hint="The files were put back as they were. Correct the variable that this line comes from and run again.",
        ) from error


def _apply(commands: Sequence[tuple[str, ...]], before: Sequence[Snapshot]) -> None:
    try:
        for argv in commands:
            run(argv, timeout=COMMAND_TIMEOUT)
    except CommandError as error:
        _put_back(before)
        # The service may have stopped over the new files, so the old ones are made live again.
        for argv in commands:
            run(argv, timeout=COMMAND_TIMEOUT)
        raise SlipwayError(
            f"The new configuration could not be made live: {error.message}",
            hint="The files were put back and the old configuration serves again. See journalctl -e for the cause.",
        ) from error


def _put_back(before: Sequence[Snapshot]) -> None:
    for snapshot in reversed(before):
        snapshot.put_back()


def _reason(error: CommandError) -> str:
    return str(error.details.get("stderr") or error.details.get("stdout") or error.message)


@contextlib.contextmanager
def _restoring(before: Sequence[Snapshot]) -> Iterator[None]:
    try:
        yield
    except BaseException:
        _put_back(before)
        raise


def _pending(wanted: FileSet, directory: str) -> Path:
    digest = hashlib.sha256(repr(wanted.apply).encode()).hexdigest()[:16]
    return Path(directory) / f"apply-{digest}"


@contextlib.contextmanager
def _marked(marker: Path | None) -> Iterator[None]:
    """A run killed between write and apply leaves the mark, and the next run applies."""
    if marker is None:
        yield
        return
    left_behind = marker.exists()
    os.makedirs(marker.parent, mode=0o755, exist_ok=True)
    touch(marker)
    try:
        yield
    except BaseException:
        if not left_behind:
            remove(marker)  # the old files are back and live: there is nothing to catch up on
        raise
    remove(marker)


def _arm(revert: Revert, before: Sequence[Snapshot], apply: Sequence[tuple[str, ...]], directory: str) -> None:
    """Let systemd put the old files back unless the timer is stopped: the caller may have locked itself out."""
    store = Path(directory, revert.unit)
    os.makedirs(store, mode=0o700, exist_ok=True)
    lines = ["#!/bin/sh"]
    for number, snapshot in enumerate(before):
        if snapshot.content is None:
            lines.append(shlex.join(["rm", "-f", snapshot.path]))
            continue
        copy = store / str(number)
        _replace(str(copy), snapshot.content, 0o600, 0, 0)
        ownership = ["-m", f"{snapshot.mode:04o}", "-o", str(snapshot.uid), "-g", str(snapshot.gid)]
        lines.append(shlex.join(["install", *ownership, str(copy), snapshot.path]))
    lines += [shlex.join(argv) for argv in apply]
    script = store / "restore"
    _replace(str(script), ("\n".join(lines) + "\n").encode(), 0o600, 0, 0)
    timer = f"{revert.unit}.timer"
    run(["systemctl", "stop", timer], timeout=COMMAND_TIMEOUT, check=False)  # one that an earlier run left armed
    schedule = ["--unit", revert.unit, f"--on-active={revert.after}", "--timer-property=AccuracySec=1s", "--collect"]
    # /run may be mounted noexec, so the shell is named.
    run(["systemd-run", "--quiet", *schedule, "/bin/sh", str(script)], timeout=COMMAND_TIMEOUT)
