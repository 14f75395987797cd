# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The kinds of backup that there are."""

from __future__ import annotations

from .kinds.base import Kind
from .kinds.files import Files
from .kinds.postgres import Postgres
from .kinds.redis import Redis
from .kinds.state import State
from .kinds.tenant import Tenant
from .spec import Spec
from .wal.base import Base

KINDS: dict[str, type[Kind]] = {kind.name: kind for kind in (Postgres, Redis, Files, State, Base)}

# Made when somebody asks for one; no stack is configured to have them.
EXPORTS: dict[str, type[Kind]] = {Tenant.name: Tenant}


def kind_of(spec: Spec) -> Kind:
    return (KINDS | EXPORTS)[spec.kind](spec)
