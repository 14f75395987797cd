# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Engine runs with the configuration that is wanted: restarted only if it must be, and never under a release."""

from __future__ import annotations

import glob
import hashlib
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..common.errors import SlipwayError
from ..common.files import read_json, write_json
from ..common.lock import FileLock
from ..common.process import run
from . import daemon_json, files
from .daemon_json import Ours
from .snapshot import Snapshot

DOCKER = "docker.service"
CONTAINERD = "containerd.service"
RECORD = "/var/lib/slipway/docker-daemon.json"
SUBORDINATE = ("/etc/subuid", "/etc/subgid")
REMAPPED_USER = "dockremap"
REMAPPED_IDS = 65536
COMMAND_TIMEOUT = 120.0
POLL_SECONDS = 1.0
RELOAD_SECONDS = 10.0
NOTHING, ENABLE, RELOAD, RESTART = "none", "enable", "reload", "restart"
LOADED = "loaded"
ENABLING = ("systemctl", "enable", "--quiet", DOCKER)
RESTARTING = (
    ("systemctl", "daemon-reload"),
    ENABLING,
    # Containers go on meanwhile (live-restore).
    ("systemctl", "restart", CONTAINERD, DOCKER),
    # Whether it is there for its clients, and not only for systemd.
    ("docker", "version"),
)


@dataclass(frozen=True)
class Wanted:
    """`options` are merged into daemon.json; `drop_ins` are whole files of systemd that take effect with a restart."""

    options: Mapping[str, Any]
    drop_ins: tuple[files.FileSpec, ...] = ()
    locks: tuple[str, ...] = ()
    wait: float = 0.0
    first_id: int = 0
    path: str = daemon_json.PATH
    record: str = RECORD


@dataclass
class Report:
    how: str = NOTHING
    why: str = ""
    changed_paths: list[str] = field(default_factory=list)
    diff: list[dict[str, Any]] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        return bool(self.changed_paths) or self.how != NOTHING


@dataclass(frozen=True)
class Unit:
    """A unit of systemd as it runs now."""

    name: str
    active: bool
    enabled: bool
    pid: int
    started: float  # seconds since the epoch

    @classmethod
    def look(cls, name: str) -> Unit:
        names = ("ActiveState", "UnitFileState", "MainPID", "ExecMainStartTimestampMonotonic")
        said = run(["systemctl", "show", name, f"--property={','.join(names)}"], timeout=COMMAND_TIMEOUT).stdout
        found = dict(line.split("=", 1) for line in said.splitlines() if "=" in line)
        since = int(found.get("ExecMainStartTimestampMonotonic") or 0) / 1e6
        return cls(
            name,
            active=found.get("ActiveState") == "active",
            enabled=found.get("UnitFileState") == "enabled",
            pid=int(found.get("MainPID") or 0),
            started=time.time() - time.monotonic() + since,
        )

    def replaced(self) -> bool:
        """Whether its program was replaced on the disk since it started, as by an upgrade."""
        try:
            return os.readlink(f"/proc/{self.pid}/exe").endswith(" (deleted)")
        except OSError:
            return False


def converge(wanted: Wanted, *, check: bool = False) -> Report:
    """Make daemon.json and the Engine be what is wanted; with `check` only say what would be done."""
    before = Snapshot.take(wanted.path)
    current = daemon_json.parse(before.text(), wanted.path)
    record = read_json(wanted.record, {})
    merged, ours = daemon_json.merge(current, wanted.options, Ours.load(record))
    daemon_json.refuse_nftables(merged)
    # A file that says the same already stays as it was written.
    text = before.text() if merged == current and before.content else daemon_json.render(merged)
    todo = _files(wanted, text, remapped=daemon_json.remapped(merged))
    planned = files.converge(todo, check=True)
    report = Report(changed_paths=planned.changed_paths, diff=planned.diff)
    loaded = record.get(LOADED) == _digest(text)
    report.how, report.why = _decide(wanted, planned.changed_paths, daemon_json.changed(current, merged), loaded=loaded)
    if daemon_json.remapped(current) != daemon_json.remapped(merged):
        _refuse_hidden_data(remapped=daemon_json.remapped(merged))
    if check:
        return report
    if report.how == RESTART:
        with undisturbed(wanted.locks, wanted.wait, report.why):
            _apply(todo, RESTARTING)
    else:
        _apply(todo, (ENABLING,) if report.how == ENABLE else ())
        if report.how == RELOAD and not _reload():
            report.how, report.why = RESTART, f"{report.why}, and the Engine did not take it over without one"
            with undisturbed(wanted.locks, wanted.wait, report.why):
                _run_all(RESTARTING)
    _remember(wanted.record, {**ours.dump(), LOADED: _digest(text)})
    return report


def _apply(todo: files.FileSet, commands: tuple[tuple[str, ...], ...]) -> None:
    """Write the files and run the commands; if one fails, the files are as they were and the Engine runs with them."""
    if not files.converge(replace(todo, apply=commands)).applied:
        _run_all(commands)  # no file changed


def _remember(path: str, known: Mapping[str, Any]) -> None:
    if read_json(path) != known:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        write_json(path, known)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _files(wanted: Wanted, text: str, *, remapped: bool) -> files.FileSet:
    subordinate = _subordinate_ids(wanted.first_id) if remapped else ()
    validate = ("dockerd", "--validate", "--config-file", "{path}")
    daemon = files.FileSpec(wanted.path, text, validate=validate)
    # The ranges first: the Engine's own check of its file would make some when there are none.
    return files.FileSet(files=(*subordinate, daemon, *wanted.drop_ins))


def _decide(wanted: Wanted, paths: Sequence[str], names: Sequence[str], *, loaded: bool) -> tuple[str, str]:
    """How the Engine comes to run with it, and why."""
    docker, containerd = Unit.look(DOCKER), Unit.look(CONTAINERD)
    if not docker.active:
        return RESTART, "it does not run"
    units = [spec.path for spec in wanted.drop_ins if spec.path in paths]
    if units:
        return RESTART, f"{' and '.join(units)} changed"
    for unit in (docker, containerd):
        if unit.replaced():
            return RESTART, f"the program of {unit.name} was replaced, as by an upgrade"
    if names:
        how = RELOAD if daemon_json.reloadable(names) else RESTART
        return how, f"{', '.join(names)} in {wanted.path} changed"
    # Somebody edited the file, or a run was cut off before the Engine had read it.
    if not loaded and _written(wanted.path) > docker.started:
        return RESTART, f"{wanted.path} is newer than its start"
    return (NOTHING, "") if docker.enabled else (ENABLE, f"{DOCKER} was not enabled")


def _written(path: str) -> float:
    try:
        return os.stat(path).st_mtime
    except FileNotFoundError:
        return 0.0


def _reloads(since: float) -> str:
    """What the Engine notes about them."""
    window = ["--since", f"{since:.9f}", "--until", f"{time.time():.9f}"]
    return run(
        ["docker", "events", *window, "--filter", "type=daemon", "--filter", "event=reload"], timeout=COMMAND_TIMEOUT
    ).stdout.strip()


def _reload() -> bool:
    """Whether the Engine says that it has read its file anew: the signal alone proves nothing."""
    since = time.time()
    run(["systemctl", "reload", DOCKER], timeout=COMMAND_TIMEOUT)
    deadline = time.monotonic() + RELOAD_SECONDS
    while time.monotonic() < deadline:
        if _reloads(since):
            return True
        time.sleep(POLL_SECONDS / 4)
    return False


def _run_all(commands: Sequence[tuple[str, ...]]) -> None:
    for argv in commands:
        run(argv, timeout=COMMAND_TIMEOUT)


@contextmanager
def undisturbed(patterns: Sequence[str], wait: float, why: str) -> Iterator[None]:
    """Hold the locks of whatever must not lose the Engine while it works; all of them at once or none."""
    deadline = time.monotonic() + wait
    with ExitStack() as stack:
        while not _taken(patterns, stack, last=time.monotonic() >= deadline, why=why):
            time.sleep(POLL_SECONDS)
        yield


def _taken(patterns: Sequence[str], stack: ExitStack, *, last: bool, why: str) -> bool:
    """Whoever waits for one lock while it holds another one could wait for somebody who does the opposite."""
    with ExitStack() as trial:
        try:
            for path in sorted(path for pattern in patterns for path in glob.glob(pattern)):
                trial.enter_context(FileLock(path, what="restart of the Docker Engine"))
        except SlipwayError as error:
            if not last:
                return False
            raise SlipwayError(
                f"The Docker Engine has to restart ({why}), and that would cut off what is at work: {error.message}",
                hint="Nothing was changed. Run this again when that has ended, or wait longer (docker_restart_wait).",
            ) from error
        stack.push(trial.pop_all())
    return True


def _subordinate_ids(first: int) -> tuple[files.FileSpec, ...]:
    """The range that containers' users are mapped to: the same on every host, so that backups fit everywhere."""
    return tuple(files.FileSpec(path, with_range(_read(path), first, path)) for path in SUBORDINATE)


def with_range(text: str, first: int, path: str) -> str:
    """A table of subordinate ids with ours in it. One that is there already stays: data on this host belongs to it."""
    rows = [line.split(":") for line in text.splitlines() if line.count(":") == 2]
    if any(row[0] == REMAPPED_USER for row in rows):
        return text
    for name, start, count in rows:
        if int(start) < first + REMAPPED_IDS and first < int(start) + int(count):
            raise SlipwayError(
                f"The ids from {first} on that containers would get belong to {name} ({path}).",
                hint="Set docker_userns_first_id to the start of another range. Nothing was changed.",
            )
    return f"{text}{REMAPPED_USER}:{first}:{REMAPPED_IDS}\n"


def _read(path: str) -> str:
    return Snapshot.take(path).text()


def _refuse_hidden_data(*, remapped: bool) -> None:
    """With and without remapped users the Engine has two places for its data, and sees only one."""
    if not Unit.look(DOCKER).active:
        return
    found = {
        what: len(run(["docker", *words, "--quiet"], timeout=COMMAND_TIMEOUT).stdout.split())
        for what, words in (("container", ("ps", "--all")), ("volume", ("volume", "ls")))
    }
    told = [f"{count} {what}{'' if count == 1 else 's'}" for what, count in found.items() if count]
    if told:
        raise SlipwayError(
            f"docker_userns_remap cannot be switched {'on' if remapped else 'off'} here: the Engine would no longer "
            f"see this host's {' and '.join(told)}, because remapped data has a place of its own.",
            hint="Back up (slipway.vps.backup), take the stacks away (slipway.vps.remove), run this again, and bring "
            "them back with slipway.vps.recover. Nothing was changed.",
        )
