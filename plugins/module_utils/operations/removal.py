# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Taking a stack away: first everything is found, then it goes in that order. What was found is what `--check` tells.

Data (volumes, local backups, the stack's directory) is found only when it was asked for. Backups in S3 are nobody's
business here.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..alerts.ledger import STATE_DIRECTORY as ALERTS
from ..alerts.options import BACKUP, HEALTH
from ..alerts.options import file_name as alerts_file
from ..backup.metrics import file_name as metrics_file
from ..backup.restoration import RESTORED
from ..backup.spec import STATE_DIRECTORY
from ..backup.wal.options import SPOOL_DIRECTORY
from ..certbot import pair
from ..common import validate
from ..common.errors import SlipwayError
from ..common.files import read_json, remove, write_atomic
from ..common.process import run
from ..probe.watch import file_name as probes_file
from ..recover.journal import path as recovery_journal
from ..release import edge
from ..release import state as states
from ..release.host import Host
from ..release.keepers import held, sync
from ..release.paths import DATA, SLOTS
from ..tenancy.problems import NOTES as SIGN_UPS

CONFIGURATION = Path("/etc/slipway")
SITES = Path("/etc/nginx/slipway/sites")
SUDOERS = Path("/etc/sudoers.d")
UNITS = Path("/etc/systemd/system")
PAGES = Path("/var/www/slipway")
LETSENCRYPT = Path("/etc/letsencrypt")
DEPLOY_KEYS = Path("/var/lib/slipway/deploy/.ssh/authorized_keys")
BACKUPS = Path("/var/backups/slipway")
TIMERS = (
    "slipway-backup@{}.timer",
    "slipway-backup-redis@{}.timer",
    "slipway-backup-files@{}.timer",
    "slipway-backup-state@{}.timer",
    "slipway-verify@{}.timer",
    "slipway-drill@{}.timer",
    "slipway-base@{}.timer",
    "slipway-tenants@{}.timer",
)
# The first to go: they would take the end of the others for an alarm.
CHECK_TIMERS = ("slipway-health@{}.timer", "slipway-backup-check@{}.timer")
WAL_UNIT = "slipway-wal@{}.service"
BOOT_UNIT = "slipway-stack@{}.service"
CERTBOT_SECONDS = 120


@dataclass(frozen=True)
class Wish:
    """What to take away beside what can be made again by the playbooks."""

    stack: str
    data: bool = False
    certificates: bool = False
    lock_wait: float = 60


@dataclass(frozen=True)
class Thing:
    """Something on this host that belongs to the stack."""

    kind: str  # file | directory | unit | container | network | volume | image | state | certificate
    name: str

    def as_dict(self) -> dict[str, str]:
        return asdict(self)


def read(stack: str, remove_data: str, *, certificates: bool, lock_wait: float) -> Wish:
    """Data goes only when the stack's own name confirms it."""
    validate.stack_name(stack)
    if remove_data and remove_data != stack:
        raise SlipwayError(
            f"remove_data is {remove_data!r}, and the stack is {stack}.",
            hint=f"To delete its data for good say remove_data={stack}; leave it out to keep the data.",
        )
    return Wish(stack, bool(remove_data), certificates, lock_wait)


def find(host: Host, wish: Wish) -> list[Thing]:
    """Everything that would go, in that order: traffic first, data last."""
    return [
        *_nginx(host),
        *_units(wish.stack),
        *_docker(host),
        *_configuration(wish.stack),
        *_state(host),
        *(_certificates(wish.stack) if wish.certificates else []),
        *(_data(host) if wish.data else []),
    ]


def kept(host: Host, wish: Wish) -> list[Thing]:
    """What belongs to the stack and stays."""
    left = [] if wish.certificates else list(_certificates(wish.stack))
    return [*left, *([] if wish.data else _data(host))]


def _there(kind: str, paths: Iterable[Path]) -> Iterator[Thing]:
    return (Thing(kind, str(path)) for path in paths if path.exists())


def _nginx(host: Host) -> Iterator[Thing]:
    stack = host.paths.stack
    yield from _there("file", (SITES / f"{group}-{stack}.conf" for group in ("stack", "tenants", "sign-ups")))
    yield from _there("directory", (host.paths.nginx,))


def _units(stack: str) -> Iterator[Thing]:
    for pattern in (*CHECK_TIMERS, BOOT_UNIT, WAL_UNIT, *TIMERS):
        unit = pattern.format(stack)
        asked = [run(["systemctl", verb, unit], timeout=20, check=False) for verb in ("is-enabled", "is-active")]
        if any(answer.stdout.strip() in ("enabled", "active", "activating") for answer in asked):
            yield Thing("unit", unit)
    yield from _there("directory", (UNITS / f"{pattern.format(stack)}.d" for pattern in (*CHECK_TIMERS, *TIMERS)))


def _docker(host: Host) -> Iterator[Thing]:
    for slot in (*SLOTS, DATA):
        project = host.paths.project(slot)
        for one_off in (True, False):
            for entry in host.daemon.containers(project, one_off=one_off):
                yield Thing("container", entry.name)
        for network in host.daemon.networks(project):
            yield Thing("network", str(network.name))
    for reference in held(host.daemon, host.paths.stack):
        yield Thing("image", reference)


def _configuration(stack: str) -> Iterator[Thing]:
    backup = CONFIGURATION / "backup"
    names = (f"{stack}.json", f"{stack}.s3-ca.pem", f"{stack}.age-identity")
    yield from _there("file", _metrics(stack))
    yield from _there("file", (backup / name for name in names))
    for topic in (BACKUP, HEALTH):
        yield from _there("file", (ALERTS / alerts_file(stack, topic, ending) for ending in ("json", "lock")))
        yield from _there("file", (CONFIGURATION / "alerts" / alerts_file(stack, topic),))
    yield from _there("file", (CONFIGURATION / place / f"{stack}.json" for place in ("tenants", "probes", "ci")))
    yield from _there("file", (CONFIGURATION / "ci" / f"{stack}.keys", SUDOERS / f"slipway-ci-{stack}"))
    yield from _there("file", (SIGN_UPS / f"{stack}{ending}" for ending in (".json", ".lock", ".lock.holder")))
    yield from _there("file", (PAGES / f"suspended-{stack}.html", recovery_journal(stack)))


def _metrics(stack: str) -> Iterator[Path]:
    """The files of the metrics, where role backup and playbook health were told to write them."""
    for place, name in (("backup", metrics_file(stack)), ("probes", probes_file(stack))):
        directory = (read_json(CONFIGURATION / place / f"{stack}.json", {}).get("watch") or {}).get("metrics_directory")
        if directory:
            yield Path(str(directory)) / name


def _state(host: Host) -> Iterator[Thing]:
    current = host.store.state()
    if current.active or current.transition:
        what = f"release number {current.active.release} serves" if current.active else "a release is under way"
        yield Thing("state", f"{host.paths.state}: {what}")
    yield from _there("file", (host.paths.flag, host.paths.maintenance))


def _certificates(stack: str) -> Iterator[Thing]:
    own = re.compile(rf"{re.escape(stack)}|wildcard-{re.escape(stack)}|(tenant|domain)-{re.escape(stack)}-[a-z0-9_]+")
    for path in sorted((LETSENCRYPT / "renewal").glob("*.conf")):
        if own.fullmatch(path.stem):
            yield Thing("certificate", path.stem)


def _data(host: Host) -> Iterator[Thing]:
    wanted = volume_names(host)
    for volume in host.daemon.volume_names():
        if volume in wanted:
            yield Thing("volume", volume)
    stack = host.paths.stack
    below = (place / stack for place in (STATE_DIRECTORY, SPOOL_DIRECTORY, RESTORED))
    yield from _there("directory", (local_backups(stack), *below, host.paths.root))


def volume_names(host: Host) -> set[str]:
    """The volumes that the kept releases pinned for all of the stack's projects; external ones are not among them."""
    found = set()
    for path in sorted(host.paths.releases.glob("*/override.*.json")):
        document: dict[str, Any] = read_json(path, {})
        found |= {str(volume["name"]) for volume in (document.get("volumes") or {}).values() if volume.get("name")}
    return found


def local_backups(stack: str) -> Path:
    """Where role backup keeps copies on this host."""
    configured = read_json(CONFIGURATION / "backup" / f"{stack}.json", {}).get("local_directory")
    return Path(configured) if configured else BACKUPS / stack


def apply(host: Host, wish: Wish) -> list[Thing]:
    """Find it and take it away; what was taken away."""
    if not host.paths.root.is_dir():
        found = find(host, wish)
        _take(host, found)
        return found
    with host.lock(f"removal of {wish.stack}", wish.lock_wait):
        found = find(host, wish)
        _take(host, found)
    return found


def _take(host: Host, found: list[Thing]) -> None:
    before_docker = [thing for thing in found if thing.kind in ("file", "directory") and _is_nginx(thing)]
    _files(before_docker)
    if before_docker:
        edge.check()
        edge.reload()
    _stop_units([thing.name for thing in found if thing.kind == "unit"])
    _empty_docker(host, found)
    _forget(host)
    for thing in found:
        if thing.kind == "certificate":
            run(["certbot", "delete", "--non-interactive", "--cert-name", thing.name], timeout=CERTBOT_SECONDS)
            pair.withdraw(pair.path(pair.DIRECTORY, thing.name))
    host.daemon.remove_volumes([thing.name for thing in found if thing.kind == "volume"])
    _files([thing for thing in found if thing not in before_docker])
    _keys()


def _is_nginx(thing: Thing) -> bool:
    return thing.name.startswith("/etc/nginx/")


def _files(things: list[Thing]) -> None:
    for thing in things:
        if thing.kind == "file":
            remove(thing.name)
        elif thing.kind == "directory":
            shutil.rmtree(thing.name)


def _stop_units(units: list[str]) -> None:
    if units:
        run(["systemctl", "disable", "--now", *units], timeout=300)


def _empty_docker(host: Host, found: list[Thing]) -> None:
    if not any(thing.kind in ("container", "network", "image") for thing in found):
        return
    for slot in SLOTS:
        host.slots.remove(slot)
    host.daemon.remove(host.daemon.containers(host.paths.project(DATA), one_off=True))
    host.daemon.remove(host.daemon.containers(host.paths.project(DATA)))
    host.daemon.remove_networks(host.paths.project(DATA))
    sync(host.daemon, host.paths.stack, ())


def _forget(host: Host) -> None:
    """The state no longer names a release; ports and the numbers of releases stay, for a stack that comes back."""
    if host.paths.state.exists():
        host.store.save(states.removed(host.store.state()))


def _keys() -> None:
    """The keys of the other stacks."""
    if DEPLOY_KEYS.exists():
        parts = sorted((CONFIGURATION / "ci").glob("*.keys"))
        write_atomic(DEPLOY_KEYS, "".join(part.read_text(encoding="utf-8") for part in parts))
