# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Debian packages: which of the wanted ones are missing, and one apt-get for all of them."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from pathlib import Path

from ..common.errors import SlipwayError
from ..common.process import CommandError, Result, run, tail

INSTALLED = "ii"
LISTS = "/var/lib/apt/lists"
QUERY_TIMEOUT = 60.0
# Another program may hold dpkg's lock, most often the daily security updates.
LOCK_SECONDS = 300
NAME = re.compile(r"[a-z0-9][a-z0-9+.-]+")
ENVIRONMENT = {
    "DEBIAN_FRONTEND": "noninteractive",
    "APT_LISTCHANGES_FRONTEND": "none",
    "NEEDRESTART_SUSPEND": "1",
    "LC_ALL": "C.UTF-8",
}
# A configuration file that was changed stays as it is.
KEEP_FILES = ("-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold")
STALE = ("404  Not Found", "Unable to fetch some archives", "Unable to locate package", "has no installation candidate")


def missing(wanted: Sequence[str]) -> list[str]:
    """Those of the wanted packages that are not installed."""
    for name in wanted:
        if not NAME.fullmatch(name):
            raise SlipwayError(f"{name!r} is not the name of a Debian package.", hint="Correct the list of packages.")
    if not wanted:
        return []
    # dpkg-query ends with 1 when it knows nothing of one of them, which is an answer and not a failure.
    argv = ["dpkg-query", "--show", "--showformat", "${binary:Package} ${db:Status-Abbrev}\n", *wanted]
    return not_installed(wanted, run(argv, timeout=QUERY_TIMEOUT, check=False).stdout)


def not_installed(wanted: Sequence[str], listing: str) -> list[str]:
    found = set()
    for line in listing.splitlines():
        name, _space, status = line.partition(" ")
        if status.strip() == INSTALLED:
            found.add(name.partition(":")[0])
    return [name for name in dict.fromkeys(wanted) if name not in found]


def install(packages: Sequence[str], *, max_age: float, timeout: float, lists: str = LISTS) -> None:
    """Install with fresh package lists; lists that turn out to be stale are fetched again once."""
    fresh = time.time() - _fetched(lists) < max_age
    if not fresh:
        update(timeout)
    try:
        _install(packages, timeout)
    except CommandError as error:
        if not (fresh and error.result and _is_stale(error.result)):
            raise _told(packages, error) from error
        update(timeout)
        _install_again(packages, timeout)


def update(timeout: float) -> None:
    try:
        run(["apt-get", *_lock(), "--quiet", "update"], timeout=timeout, env=ENVIRONMENT)
    except CommandError as error:
        raise SlipwayError(
            f"The package lists could not be fetched: {_reason(error)}",
            hint="Check /etc/apt/sources.list, /etc/apt/sources.list.d and the network: apt-get update",
        ) from error


def _fetched(lists: str) -> float:
    """When package lists were last fetched; never, if there are none (an image often comes without)."""
    try:
        return max(entry.stat().st_mtime for entry in Path(lists).glob("*Release"))
    except ValueError:
        return 0.0


def _install(packages: Sequence[str], timeout: float) -> None:
    argv = ["apt-get", *_lock(), *KEEP_FILES, "--quiet", "--assume-yes", "--no-install-recommends", "install"]
    run([*argv, *packages], timeout=timeout, env=ENVIRONMENT)


def _install_again(packages: Sequence[str], timeout: float) -> None:
    try:
        _install(packages, timeout)
    except CommandError as error:
        raise _told(packages, error) from error


def _lock() -> list[str]:
    return ["-o", f"DPkg::Lock::Timeout={LOCK_SECONDS}"]


def _is_stale(result: Result) -> bool:
    return any(sign in result.stdout + result.stderr for sign in STALE)


def _reason(error: CommandError) -> str:
    lines = error.result.stderr.splitlines() if error.result else []
    wrong = [line.partition(":")[2].strip() or line for line in lines if line.startswith(("E:", "dpkg: error"))]
    return " ".join(wrong) or (tail(error.result.stderr, 3) if error.result else error.message)


def _told(packages: Sequence[str], error: CommandError) -> SlipwayError:
    return SlipwayError(
        f"The packages {', '.join(packages)} could not be installed: {_reason(error)}",
        hint="Try it on the host: apt-get update && apt-get --fix-broken install",
    )
