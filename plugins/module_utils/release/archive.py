# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Copies of whole volumes, taken while nothing writes to them: the way back for data that is no database dump."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from pathlib import Path

from ..common.errors import SlipwayError
from ..common.files import fsync_directory
from ..common.process import run
from .daemon import Daemon
from .host import Host

ARCHIVES = Path("/var/backups/slipway")
KEPT = 3
STAMP_LENGTH = len("-20260101T000000Z.tar.zst")
TAR_SECONDS = 7200


def make(host: Host, volumes: Mapping[str, str]) -> dict[str, str]:
    """One archive a volume: name of the volume -> path. The service is stopped."""
    place = ARCHIVES / host.paths.stack / "volumes"
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    made = {}
    for volume in volumes.values():
        source = mountpoint(host.daemon, volume)
        _refuse_full_disk(source, place)
        target = place / f"{volume}-{stamp}.tar.zst"
        partial = target.with_name(f".{target.name}")
        run(["tar", "--create", "--zstd", "--numeric-owner", "--xattrs", "--acls", "--sparse",
             f"--file={partial}", f"--directory={source}", "."], timeout=TAR_SECONDS)  # fmt: skip
        partial.chmod(0o600)
        partial.replace(target)
        fsync_directory(place)
        made[volume] = str(target)
        _forget_older(place, volume)
    return made


def restore(host: Host, archives: Mapping[str, str]) -> None:
    """The volumes as they were when the archives were made."""
    for volume, path in archives.items():
        target = mountpoint(host.daemon, volume)
        for entry in target.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()
        run(["tar", "--extract", "--zstd", "--numeric-owner", "--xattrs", "--acls",
             f"--file={path}", f"--directory={target}"], timeout=TAR_SECONDS)  # fmt: skip


def mountpoint(daemon: Daemon, volume: str) -> Path:
    try:
        attributes = daemon.client.api.inspect_volume(volume)
    except daemon.errors.NotFound as error:
        raise SlipwayError(
            f"There is no volume {volume} on this host.", hint="List them with: docker volume ls"
        ) from error
    place = Path(attributes.get("Mountpoint") or "")
    if attributes.get("Driver") != "local" or not place.is_dir():
        raise SlipwayError(
            f"The volume {volume} is not a directory of this host (driver {attributes.get('Driver')}).",
            hint="Back it up by its own means, then change the service by hand.",
        )
    return place


def size(place: Path) -> int:
    """Bytes of all files below."""
    return sum(entry.lstat().st_size for entry in place.rglob("*") if not entry.is_dir())


def _refuse_full_disk(source: Path, place: Path) -> None:
    needed, free = size(source), shutil.disk_usage(place).free
    if needed > free:
        raise SlipwayError(
            f"The archive of {source} may need {needed // 10**6} MB below {place}, {free // 10**6} MB are free.",
            hint="Free some space first.",
        )


def _forget_older(place: Path, volume: str) -> None:
    kept = sorted(path for path in place.glob(f"{volume}-*.tar.zst") if len(path.name) == len(volume) + STAMP_LENGTH)
    for path in kept[:-KEPT]:
        path.unlink()
