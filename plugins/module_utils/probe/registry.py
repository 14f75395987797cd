# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The probe types. A new one is a class in a file of its own under types/, and a line here."""

from __future__ import annotations

from .types.backup_age import BackupAge
from .types.backup_stored import BackupStored
from .types.base import ProbeType
from .types.certificates import Certificates
from .types.command import Command
from .types.container import Container
from .types.disk import Disk
from .types.dns import Dns
from .types.http import Http
from .types.memory import Memory
from .types.postgres import Postgres
from .types.redis import Redis
from .types.restore_age import RestoreAge
from .types.systemd import Systemd
from .types.tcp import Tcp
from .types.tenants import Tenants
from .types.tls import Tls
from .types.wal_lag import WalLag
from .types.websocket import Websocket

CLASSES: tuple[type[ProbeType], ...] = (
    BackupAge,
    BackupStored,
    Certificates,
    Command,
    Container,
    Disk,
    Dns,
    Http,
    Memory,
    Postgres,
    Redis,
    RestoreAge,
    Systemd,
    Tcp,
    Tenants,
    Tls,
    WalLag,
    Websocket,
)
TYPES: dict[str, type[ProbeType]] = {cls.name: cls for cls in CLASSES}
