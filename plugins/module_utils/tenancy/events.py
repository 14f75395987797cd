# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The audit trail: one line for every change of a tenant, which the database itself refuses to change afterwards."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from psycopg2.sql import Composable


def statement(slug: str, actions: Sequence[str | Mapping[str, Any]]) -> Composable:
    """The INSERT for what was done, to run in the transaction that does it: sentences, and documents such as a
    certificate."""
    from psycopg2 import sql

    return sql.SQL("INSERT INTO slipway.tenant_events (slug, actions) VALUES ({slug}, {actions}::jsonb)").format(
        slug=sql.Literal(slug), actions=sql.Literal(json.dumps(list(actions)))
    )
