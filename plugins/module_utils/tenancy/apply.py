# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Carrying a plan out: one transaction a tenant, under a lock that only runs on the same tenant share."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..common import require
from ..common.errors import SlipwayError
from ..postgres import failure
from . import events
from .plan import Action, Plan
from .session import Session
from .spec import Request
from .statements import Composer
from .templates import Template

if TYPE_CHECKING:
    from psycopg2.sql import Composable

# The lock comes before the look at the revision: whoever waited sees what the other run did.
FENCE = """
SET LOCAL lock_timeout = {wait};
SELECT pg_advisory_xact_lock(hashtextextended('slipway tenant ' || {slug}, 0));
SELECT revision FROM slipway.tenants WHERE slug = {slug}
"""

ENTER = """
SET LOCAL ROLE {role};
SET LOCAL search_path = {path};
SET LOCAL lock_timeout = {timeout}
"""

LEAVE = "SET LOCAL ROLE NONE; SET LOCAL search_path = pg_catalog"

LEDGER = "INSERT INTO slipway.tenant_migrations (slug, template, checksum, milliseconds) VALUES ({}, {}, {}, {})"

Replan = Callable[[], Plan]


class Applier:
    """Applies plans over one session."""

    def __init__(self, session: Session, request: Request) -> None:
        self.session = session
        self.request = request
        self.composer = Composer(session.connection)
        self.psycopg2: Any = require.load("psycopg2", "python3-psycopg2")

    def apply(self, plan: Plan, replan: Replan) -> Plan:
        """Apply the plan, or the one that `replan` makes if another run changed the tenant since. All or nothing."""
        slug = plan.tenant.slug
        try:
            if self._fence(slug) != plan.revision:
                plan = replan()
            if plan.actions:
                self._run(plan)
            self.session.commit()
        except self.psycopg2.Error as error:
            self._rollback()
            raise _with_tenant(failure.sentence(error), slug) from error
        except BaseException:
            self._rollback()
            raise
        return plan

    def _rollback(self) -> None:
        if not self.session.connection.closed:
            self.session.rollback()

    def _fence(self, slug: str) -> int | None:
        composer = self.composer
        statement = composer.sql.SQL(FENCE).format(
            wait=composer.literal(f"{self.request.lock_wait}s"), slug=composer.literal(slug)
        )
        rows = self.session.rows(statement)
        return int(rows[0][0]) if rows else None

    def _run(self, plan: Plan) -> None:
        structure = [action for action in plan.actions if action.kind != "template"]
        closing = self._closing(plan)
        migrations = [action for action in plan.actions if action.kind == "template"]
        if not migrations:
            self.session.run(self.composer.join([*map(self.composer.compose, structure), *closing]))
            return
        if structure:
            self.session.run(self.composer.join([self.composer.compose(action) for action in structure]))
        lines = [self._template(plan, action) for action in migrations]
        self.session.run(self.composer.join([self.composer.sql.SQL(LEAVE), *lines, *closing]))

    def _template(self, plan: Plan, action: Action) -> Composable:
        """Run one template as the tenant's role. Returns the ledger's line for it."""
        template: Template = action.data["template"]
        sql = self.composer.sql
        path = [sql.Identifier(name) for name in (plan.schema, *self.request.shared_schemas)]
        self.session.run(
            sql.SQL(ENTER).format(
                role=sql.Identifier(plan.role),
                path=sql.SQL(", ").join(path),
                timeout=sql.Literal(self.request.lock_timeout),
            )
        )
        started = time.monotonic()
        try:
            self.session.run(template.sql)
        except self.psycopg2.Error as error:
            raise template_failure(template, plan.tenant.slug, error) from error
        if not self.session.in_transaction():
            raise SlipwayError(
                f"The SQL template {template.name} ended the transaction that it ran in.",
                hint="Remove what commits or rolls back: each tenant's templates run in one transaction already.",
            )
        milliseconds = round((time.monotonic() - started) * 1000)
        values = (plan.tenant.slug, template.name, template.checksum, milliseconds)
        line: Composable = sql.SQL(LEDGER).format(*map(self.composer.literal, values))
        return line

    def _closing(self, plan: Plan) -> list[Composable]:
        """What every change ends with: a new revision and the event."""
        slug = plan.tenant.slug
        touch = self.composer.sql.SQL(
            "UPDATE slipway.tenants SET revision = txid_current(), updated_at = clock_timestamp() WHERE slug = {}"
        ).format(self.composer.literal(slug))
        new = any(action.kind in ("register", "unregister") for action in plan.actions)
        return [*([] if new else [touch]), events.statement(slug, plan.texts())]


def template_failure(template: Template, slug: str, error: Any) -> SlipwayError:
    """Which template, which tenant, which line, and what PostgreSQL said."""
    cause = failure.sentence(error)
    position = error.diag.statement_position if error.diag else None
    line = ""
    if position and str(position).isdigit():
        line = f", line {template.sql[: int(position)].count(chr(10)) + 1}"
    said = cause.message.removeprefix("PostgreSQL refused a statement: ")
    return SlipwayError(
        f"The SQL template {template.name} failed for tenant {slug}{line}: {said}",
        hint=cause.hint or "Nothing of it was kept. Correct the template and run again.",
        details={**cause.details, "template": template.name},
    )


def _with_tenant(error: SlipwayError, slug: str) -> SlipwayError:
    return SlipwayError(f"Tenant {slug}: {error.message}", hint=error.hint, details=error.details)
