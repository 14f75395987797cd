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
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from dataclasses import replace as but
from functools import partial
from pathlib import Path
from typing import Any

from ..common.errors import SlipwayError
from ..common.files import remove, touch
from ..common.process import CommandError, run
from .edits import EditSpec, edited
from .originals import DIRECTORY as ORIGINALS
from .originals import Original, Originals, encoded, fingerprint
from .revert import Revert, WayBack
from .snapshot import Snapshot, replace

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
class FileSet:
    """What must be on disk, how it is tested as a whole, and what makes it live."""

    files: tuple[FileSpec, ...] = ()
    edits: tuple[EditSpec, ...] = ()
    directories: tuple[DirectorySpec, ...] = ()
    absent: tuple[str, ...] = ()
    keep_originals: bool = False
    take_back: tuple[str, ...] = ()
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
    # Whether a way back is armed, so that somebody has to prove the change.
    unproved: bool = False
    left_alone: list[str] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        return bool(self.changed_paths) or self.applied

    def __add__(self, other: Report) -> Report:
        return Report(
            self.changed_paths + other.changed_paths,
            self.diff + other.diff,
            self.applied or other.applied,
            self.not_live + other.not_live,
            self.unproved or other.unproved,
            self.left_alone + other.left_alone,
        )


class _NotBack(SlipwayError):
    """The old files are back, and yet what they describe does not run."""


def converge(
    wanted: FileSet,
    *,
    check: bool = False,
    pending_directory: str = PENDING_DIRECTORY,
    originals_directory: str = ORIGINALS,
    way_back: WayBack | None = None,
) -> Report:
    """Make the host match `wanted`; with `check` only say what would change."""
    report = Report()
    if wanted.revert and way_back is None:
        way_back = WayBack(wanted.revert.name)
    if wanted.revert and way_back and way_back.armed():
        # An earlier run ended before it proved its change, and the files may already be what is wanted.
        report.unproved = check or way_back.postpone(wanted.revert)
    originals = Originals(originals_directory)
    wanted = _with_edits(_with_taken_back(wanted, originals, report))
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
        with _way_back(wanted, before, way_back, report), _restoring(before):
            _write(wanted, before)
            if before and wanted.test:
                _test(wanted.test)
            if must_apply:
                _apply(wanted, before)
                report.applied = True
            _remember(wanted, before, originals)
    return report


@contextlib.contextmanager
def _way_back(wanted: FileSet, before: Sequence[Snapshot], way_back: WayBack | None, report: Report) -> Iterator[None]:
    """Armed before the first file is written. It goes when the old files are back by themselves, and not when a process
    is killed or the old files could not be made live."""
    if not (wanted.revert and way_back and before):
        yield
        return
    armed_by_an_earlier_run = report.unproved
    way_back.arm(wanted.revert, before, wanted.apply)
    report.unproved = True
    try:
        yield
    except _NotBack:
        raise
    except SlipwayError:
        if not armed_by_an_earlier_run:
            way_back.disarm()
        raise


def _with_edits(wanted: FileSet) -> FileSet:
    """Each edited file as a whole one, with the mode and owner that it has."""
    return but(wanted, files=(*wanted.files, *(_edited_file(spec) for spec in wanted.edits)), edits=())


def _edited_file(spec: EditSpec) -> FileSpec:
    snapshot = Snapshot.take(spec.path)
    if snapshot.content is None:
        return FileSpec(spec.path, edited("", spec.lines))
    try:
        text = snapshot.content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise SlipwayError(
            f"{spec.path} is not a text in UTF-8, so no line of it can be changed.",
            hint="Put the file of the distribution back and run the play again.",
        ) from error
    return _as_was(snapshot, edited(text, spec.lines))


def _as_was(file: Snapshot | Original, content: str) -> FileSpec:
    return FileSpec(file.path, content, file.mode, str(file.uid), str(file.gid))


def _with_taken_back(wanted: FileSet, originals: Originals, report: Report) -> FileSet:
    """What a control that is switched off left, back as it was; but not what somebody else has changed since."""
    files, absent = list(wanted.files), list(wanted.absent)
    for path in wanted.take_back:
        original = originals.get(path)
        if original is None:
            continue
        if original.written != fingerprint(Snapshot.take(path).content):
            report.left_alone.append(path)
        elif original.data is None:
            absent.append(path)
        else:
            files.append(_as_was(original, original.data.decode("utf-8")))
    return but(wanted, files=tuple(files), absent=tuple(absent))


def _original(snapshot: Snapshot) -> Original:
    return Original(snapshot.path, encoded(snapshot.content), snapshot.mode, snapshot.uid, snapshot.gid, written="")


def _remember(wanted: FileSet, before: Sequence[Snapshot], originals: Originals) -> None:
    for snapshot in before:
        if snapshot.path in wanted.take_back:
            originals.forget(snapshot.path)
        elif wanted.keep_originals and not os.path.islink(snapshot.path):
            originals.note(_original(snapshot), Snapshot.take(snapshot.path).content)


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
    if spec.owner not in ("root", "0") and os.path.islink(spec.path):
        # Its owner could let root write anywhere, into the keys of others for instance.
        raise SlipwayError(
            f"{spec.path} should belong to {spec.owner} and is a symbolic link to {os.readlink(spec.path)}.",
            hint="Look at it, remove the link and run the play again.",
        )
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
            validate = partial(_validate, spec) if spec.validate else None
            replace(spec.path, spec.content.encode(), spec.mode, uid, gid, validate)
    for path in sorted(changing - wanted_paths):
        remove(path)


def _validate(spec: FileSpec, temporary: str) -> None:
    try:
        run([word.replace("{path}", temporary) for word in spec.validate], timeout=COMMAND_TIMEOUT)
    except CommandError as error:
        reason = _reason(error).replace(temporary, spec.path)
        raise SlipwayError(
            f"The new {spec.path} was refused by its own check: {reason}",
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


def _apply(wanted: FileSet, before: Sequence[Snapshot]) -> None:
    try:
        for argv in wanted.apply:
            run(argv, timeout=COMMAND_TIMEOUT)
    except CommandError as error:
        for argv in wanted.revert.first if wanted.revert else ():
            run(argv, timeout=COMMAND_TIMEOUT, check=False)
        _put_back(before)
        # The service may have stopped over the new files, so the old ones are made live again.
        left = _make_live(wanted.apply)
        if left:
            raise _NotBack(
                f"The new configuration could not be made live: {error.message} The old files were put back, but they "
                f"could not be made live either: {left}",
                hint="See journalctl -e for the cause.",
            ) from error
        raise SlipwayError(
            f"The new configuration could not be made live: {error.message}",
            hint="The files were put back and the old configuration serves again. See journalctl -e for the cause.",
        ) from error


def _make_live(commands: Sequence[tuple[str, ...]]) -> str:
    """Each command is tried, whatever becomes of those before it; what went wrong last, or nothing."""
    left = ""
    for argv in commands:
        try:
            run(argv, timeout=COMMAND_TIMEOUT)
        except CommandError as error:
            left = error.message
    return left


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
