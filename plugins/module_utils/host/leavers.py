# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""People who left: nothing of theirs runs, opens a door or starts again, and their files are kept or gone as asked.

The account itself goes last. So whatever interrupts the work, the next run finds the user and goes on.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import pwd
import shutil
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..common.errors import SlipwayError
from ..common.files import remove
from ..common.process import CommandError, run

TIMEOUT = 120.0
ARCHIVE_TIMEOUT = 3600.0
# Time between the polite signal and the other one.
PATIENCE = 5.0


@dataclass(frozen=True)
class Places:
    """Where a host keeps what belongs to its users."""

    sudoers: str = "/etc/sudoers"
    sudoers_parts: str = "/etc/sudoers.d"
    crontabs: str = "/var/spool/cron/crontabs"
    at_jobs: str = "/var/spool/cron/atjobs"
    lingering: str = "/var/lib/systemd/linger"
    mail: str = "/var/mail"


@dataclass
class Traces:
    """What of one user is still there."""

    name: str
    account: pwd.struct_passwd | None = None
    files: list[str] = field(default_factory=list)
    # Rules for several users at once, which a person has to take apart.
    shared_rules: list[str] = field(default_factory=list)
    units: list[str] = field(default_factory=list)

    @property
    def any(self) -> bool:
        return bool(self.account or self.files)

    def lines(self) -> list[str]:
        account = (
            [f"user {self.name} (number {self.account.pw_uid}), home {self.account.pw_dir}"] if self.account else []
        )
        return account + self.files + self.units


@dataclass
class Report:
    removed: list[str] = field(default_factory=list)
    archives: list[str] = field(default_factory=list)
    units: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    before: list[str] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        return bool(self.removed)


def converge(
    names: Sequence[str], *, home: str, archives: str, check: bool = False, places: Places | None = None
) -> Report:
    """Remove each of the users; `home` says what becomes of the home directory: archive, remove or keep."""
    report = Report()
    where = places or Places()
    rules = _rules(where) if names else {}
    for name in names:
        found = traces(name, where, rules)
        for path in found.shared_rules:
            report.warnings.append(
                f"{path} has a sudo rule for {name} beside others. Take {name} out of it: visudo -f {path}"
            )
        if not found.any:
            continue
        report.removed.append(name)
        report.before += found.lines()
        report.units += found.units
        if not check:
            _remove(found, home, archives, report)
    return report


def traces(name: str, where: Places, rules: Mapping[str, Counter[str]]) -> Traces:
    found = Traces(name)
    with contextlib.suppress(KeyError):
        found.account = pwd.getpwnam(name)
    called = {name, f"#{found.account.pw_uid}"} if found.account else {name}
    for path, users in rules.items():
        if called & {*users}:
            (found.files if {*users} <= called and path != where.sudoers else found.shared_rules).append(path)
    found.files += [
        path
        for path in (os.path.join(folder, name) for folder in (where.crontabs, where.lingering, where.mail))
        if os.path.lexists(path)
    ]
    if found.account:
        found.files += _owned(where.at_jobs, found.account.pw_uid)
        found.units = _units_of(found.account)
    return found


def _owned(folder: str, uid: int) -> list[str]:
    try:
        return sorted(entry.path for entry in os.scandir(folder) if entry.is_file() and entry.stat().st_uid == uid)
    except FileNotFoundError:
        return []


def _rules(where: Places) -> dict[str, Counter[str]]:
    """Each file of sudo with the users that its rules are about, as sudo's own reader understands it."""
    # sudo reads no file whose name has a dot in it.
    parts = [path for path in Path(where.sudoers_parts).glob("*") if path.is_file() and "." not in path.name]
    found = {str(path): _rules_of(path) for path in sorted(parts)}
    # The reader follows the main file's includes. What is left without them is written in that file itself.
    found[where.sudoers] = _rules_of(Path(where.sudoers)) - sum(found.values(), Counter())
    return found


def _rules_of(path: Path) -> Counter[str]:
    if not path.is_file():
        return Counter()
    done = run(["cvtsudoers", "--output-format", "json", str(path)], timeout=TIMEOUT, check=False)
    return users_of(json.loads(done.stdout)) if done.rc == 0 and done.stdout.strip() else Counter()


def users_of(rules: Mapping[str, Any]) -> Counter[str]:
    """How often users are named: by name, by #NUMBER, and all else (groups, aliases) as it is called there."""
    found: Counter[str] = Counter()
    lists = [spec.get("User_List", []) for spec in rules.get("User_Specs", [])]
    for entry in itertools.chain(*lists, *rules.get("User_Aliases", {}).values()):
        for key, value in entry.items():
            found[{"username": f"{value}", "userid": f"#{value}"}.get(key, f"{key} {value}")] += 1
    return found


def _remove(found: Traces, home: str, archives: str, report: Report) -> None:
    account = found.account
    failed_before = _failed_units()
    if account:
        # First the doors: from here on nobody comes in who was not in already.
        run(["usermod", "--lock", "--expiredate", "1", found.name], timeout=TIMEOUT)
    for path in found.files:
        remove(path)
    if account:
        _end_units(account, found.units)
        _end_processes(account)
        # What was ended on purpose has not failed, and what failed of theirs earlier is nobody's trouble any more.
        _reset(_failed_units() - (failed_before - {*found.units}))
        _home(account, home, archives, report)
        run(["userdel", "--force", found.name], timeout=TIMEOUT)


def _end_units(account: pwd.struct_passwd, units: Sequence[str]) -> None:
    """Services that run as the user, with what starts them; and the user's own manager with all that it started."""
    uid = str(account.pw_uid)
    commands = [
        *(["systemctl", "disable", "--quiet", unit] for unit in units),
        *(["systemctl", "stop", unit] for unit in units),
        ["loginctl", "disable-linger", account.pw_name],
        ["loginctl", "terminate-user", account.pw_name],
        ["systemctl", "stop", f"user@{uid}.service", f"user-{uid}.slice"],
    ]
    for argv in commands:
        # Some have nothing to disable, or are gone by now. What counts is that no process is left.
        run(argv, timeout=TIMEOUT, check=False)


def _units_of(account: pwd.struct_passwd) -> list[str]:
    """Services with the user's name or number in them, and the timers, paths and sockets that start them."""
    listed = run(
        ["systemctl", "list-unit-files", "--type=service", "--no-legend", "--plain", "--full"], timeout=TIMEOUT
    ).stdout
    loaded = run(
        ["systemctl", "list-units", "--all", "--type=service", "--no-legend", "--plain", "--full"], timeout=TIMEOUT
    ).stdout
    # A template has no user of its own; its instances are among those that are loaded.
    names = {line.split()[0] for line in (listed + loaded).splitlines() if line.strip()}
    services = sorted(name for name in names if "@." not in name)
    shown = run(["systemctl", "show", "--property=Id,User,TriggeredBy", "--", *services], timeout=TIMEOUT).stdout
    found: set[str] = set()
    for block in shown.split("\n\n"):
        unit = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        # The user's manager has its own way to end, and cannot be disabled.
        if unit.get("User") in (account.pw_name, str(account.pw_uid)) and not unit["Id"].startswith("user@"):
            found.update((unit["Id"], *unit.get("TriggeredBy", "").split()))
    return sorted(found)


def _end_processes(account: pwd.struct_passwd) -> None:
    """Those of the host only: in a container the same number is somebody else."""
    chosen = ["--ns", "1", "--nslist", "pid", "--uid", str(account.pw_uid)]
    if not _signal("TERM", chosen):
        return
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if not _signal("0", chosen):
            return
        time.sleep(0.1)
    while _signal("KILL", chosen):
        if time.monotonic() > deadline + PATIENCE:
            raise SlipwayError(
                f"Processes of {account.pw_name} do not end, not even when they are killed.",
                hint=f"Look at them (ps -u {account.pw_name}); a process that hangs in the kernel ends with a reboot.",
            )
        time.sleep(0.1)


def _signal(name: str, chosen: Sequence[str]) -> bool:
    """Whether there was a process to send it to."""
    return run(["pkill", f"-{name}", *chosen], timeout=TIMEOUT, check=False).rc == 0


def _failed_units() -> set[str]:
    listed = run(
        ["systemctl", "list-units", "--state=failed", "--no-legend", "--plain", "--full"], timeout=TIMEOUT, check=False
    ).stdout
    return {line.split()[0] for line in listed.splitlines() if line.strip()}


def _reset(units: set[str]) -> None:
    if units:
        run(["systemctl", "reset-failed", "--", *sorted(units)], timeout=TIMEOUT, check=False)


def _home(account: pwd.struct_passwd, wish: str, archives: str, report: Report) -> None:
    if wish == "keep" or not os.path.isdir(account.pw_dir):
        return
    if reason := _not_theirs(account):
        report.warnings.append(f"The home {account.pw_dir} of {account.pw_name} was kept, because {reason}.")
        return
    if wish == "archive":
        report.archives.append(_archive(account, archives))
    shutil.rmtree(account.pw_dir)


def _not_theirs(account: pwd.struct_passwd) -> str:
    """Why the directory must not be removed, or nothing."""
    home = account.pw_dir
    if os.path.islink(home) or os.path.realpath(home) != os.path.normpath(home):
        return "it is reached through a symbolic link"
    if os.stat(home).st_uid != account.pw_uid:
        return "it belongs to somebody else"
    inside = f"{os.path.normpath(home)}/"
    # What is mounted there may be the files of many.
    mounts = run(["findmnt", "--raw", "--noheadings", "--output", "TARGET"], timeout=TIMEOUT).stdout.splitlines()
    if any(f"{mount}/".startswith(inside) for mount in mounts):
        return "another file system is mounted there"
    others = [
        one.pw_name for one in pwd.getpwall() if one.pw_name != account.pw_name and f"{one.pw_dir}/".startswith(inside)
    ]
    return f"it is also the home of {', '.join(sorted(others))}" if others else ""


def _archive(account: pwd.struct_passwd, archives: str) -> str:
    """The home as a compressed archive that root alone may read; whole or not there."""
    os.makedirs(archives, mode=0o700, exist_ok=True)
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    path = os.path.join(archives, f"{account.pw_name}-{stamp}.tar.gz")
    parent, name = os.path.split(os.path.normpath(account.pw_dir))
    partial = f"{path}.partial"
    os.close(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))
    try:
        run(
            ["tar", "--create", "--gzip", "--file", partial, "--one-file-system", "--directory", parent, "--", name],
            timeout=ARCHIVE_TIMEOUT,
        )
    except CommandError as error:
        remove(partial)
        raise SlipwayError(
            f"The home {account.pw_dir} of {account.pw_name} could not be archived: {error.message}",
            hint=f"The user is locked and nothing of the home is removed. Make room in {archives} and run again.",
        ) from error
    os.replace(partial, path)
    return path
