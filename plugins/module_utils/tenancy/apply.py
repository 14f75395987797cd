# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Carrying a plan out: one transaction a tenant, under a lock that only runs on the same tenant share."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ..common import require
from ..common.errors import SlipwayError
from ..postgres import failure
from . import events
from .plan import Action, Plan
from .session import Session
from .spec import Request
from .statements import Composer
from .templates import NO_TRANSACTION, Template

if TYPE_CHECKING:
    from psycopg2.sql import Composable

KEY = "hashtextextended('slipway tenant ' || {slug}, 0)"
# The lock comes before the look at the revision: whoever waited sees what the other run did. It is asked for again and
# again rather than waited for: a statement that waits would itself hold up the CREATE INDEX CONCURRENTLY of the run
# that it waits for.
FENCE = """
SET LOCAL lock_timeout = {wait};
SELECT set_config('slipway.fenced', pg_try_advisory_xact_lock({key})::text, true);
SELECT current_setting('slipway.fenced')::bool, (SELECT revision FROM slipway.tenants WHERE slug = {slug})
"""
HOLD = "SELECT pg_try_advisory_lock({key})"
RELEASE = "SELECT pg_advisory_unlock({key})"
PAUSE = 0.05

ENTER = """
SET LOCAL ROLE {role};
SET LOCAL search_path = {path};
SET LOCAL lock_timeout = {timeout}
"""

# The same for a statement that has no transaction. It holds up nobody while it waits, so it may wait as long as a run.
ENTER_ALONE = """
SET ROLE {role};
SET search_path = {path};
SET lock_timeout = {timeout}
"""

LEAVE_ALONE = "SET ROLE NONE; SET search_path = pg_catalog; RESET lock_timeout"

LEAVE = "SET LOCAL ROLE NONE; SET LOCAL search_path = pg_catalog"

# Whoever works on the table: after our own statement there should be none.
INVALID = """
SELECT c.relname::text
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE NOT i.indisvalid AND c.relkind = 'i' AND n.nspname = %s ORDER BY 1
"""

LEDGER = "INSERT INTO slipway.tenant_migrations (slug, template, checksum, milliseconds) VALUES ({}, {}, {}, {})"

NEEDS_NO_TRANSACTION = "25001"  # active_sql_transaction

Replan = Callable[[], Plan]


class Applier:
    """Applies plans over one session."""

    def __init__(self, session: Session, request: Request, abandoned: threading.Event) -> None:
        self.session = session
        self.request = request
        self.abandoned = abandoned
        self.composer = Composer(session.connection)
        self.psycopg2: Any = require.load("psycopg2", "python3-psycopg2")

    def apply(self, plan: Plan, replan: Replan, done: list[Action]) -> Plan:
        """Apply the plan, or the one that `replan` makes if another run changed the tenant since.

        All or nothing, but for what PostgreSQL does outside of transactions. `done` gets what was committed.
        """
        slug = plan.tenant.slug
        try:
            if plan.alone:
                return self._apply_alone(plan, replan, done)
            if self._fence(slug) != plan.revision:
                plan = replan()
                if plan.alone:
                    self.session.rollback()
                    return self._apply_alone(plan, replan, done)
            self._transaction(plan, plan.actions, done)
        except self.psycopg2.Error as error:
            self._rollback()
            raise _with_tenant(failure.sentence(error), slug) from error
        except BaseException:
            self._rollback()
            raise
        return plan

    def _apply_alone(self, plan: Plan, replan: Replan, done: list[Action]) -> Plan:
        """More than one transaction, all of them under one lock of the session."""
        slug = plan.tenant.slug
        self._until(lambda: self._hold(slug), slug)
        try:
            plan = replan()
            part: list[Action] = []
            for action in plan.actions:
                if action.alone:
                    self._transaction(plan, part, done)
                    part = []
                    self._alone(plan, action, done)
                else:
                    part.append(action)
            self._transaction(plan, part, done)
        finally:
            self._let_go(slug)
        return plan

    def _rollback(self) -> None:
        if not self.session.connection.closed:
            self.session.rollback()

    def _sql(self, text: str, slug: str, **values: Any) -> Composable:
        literals = {name: self.composer.literal(value) for name, value in {"slug": slug, **values}.items()}
        key = self.composer.sql.SQL(KEY).format(slug=literals["slug"])
        statement: Composable = self.composer.sql.SQL(text).format(key=key, **literals)
        return statement

    def _fence(self, slug: str) -> int | None:
        """The tenant's lock until the end of the transaction, and its revision under it."""
        statement = self._sql(FENCE, slug, wait=f"{self.request.lock_wait}s")
        revisions: list[int | None] = []

        def ask() -> bool:
            ((fenced, revision),) = self.session.rows(statement)
            if fenced:
                revisions.append(revision)
            else:
                self.session.rollback()
            return bool(fenced)

        self._until(ask, slug)
        return revisions[0]

    def _hold(self, slug: str) -> bool:
        ((held,),) = self.session.rows(self._sql(HOLD, slug))
        self.session.rollback()
        return bool(held)

    def _let_go(self, slug: str) -> None:
        if not self.session.connection.closed:
            self.session.rollback()
            self.session.run(self._sql(RELEASE, slug))
            self.session.rollback()

    def _until(self, ask: Callable[[], bool], slug: str) -> None:
        deadline = time.monotonic() + self.request.lock_wait
        while not ask():
            if time.monotonic() >= deadline:
                raise SlipwayError(
                    f"Another run has been working on tenant {slug} for over {self.request.lock_wait} s.",
                    hint="Wait for it to end, or raise lock_wait.",
                )
            if self.abandoned.wait(PAUSE):
                raise SlipwayError(f"The run was stopped before tenant {slug}.", hint="Run again.")

    def _transaction(self, plan: Plan, actions: Sequence[Action], done: list[Action]) -> None:
        """What can be undone, with its event, in one transaction."""
        if actions:
            self._run(plan, actions)
        self.session.commit()
        done.extend(actions)

    def _run(self, plan: Plan, actions: Sequence[Action]) -> None:
        structure = [action for action in actions if action.kind != "template"]
        closing = self._closing(plan, actions)
        migrations = [action for action in actions if action.kind == "template"]
        if not migrations:
            self.session.run(self.composer.join([*map(self.composer.compose, structure), *closing]))
            return
        if structure:
            self.session.run(self.composer.join([self.composer.compose(action) for action in structure]))
        lines = [self._template(plan, action) for action in migrations]
        self.session.run(self.composer.join([self.composer.sql.SQL(LEAVE), *lines, *closing]))

    def _alone(self, plan: Plan, action: Action, done: list[Action]) -> None:
        """One statement without a transaction, and then, in one, that it ran."""
        started = time.monotonic()
        self.session.connection.autocommit = True
        try:
            self.session.run(self._enter(ENTER_ALONE, plan, f"{self.request.lock_wait}s"))
            if action.kind == "template":
                self._migrate_alone(plan, action.data["template"])
            else:
                self.session.run(self.composer.compose(action))
        finally:
            if not self.session.connection.closed:
                self.session.run(LEAVE_ALONE)
                self.session.connection.autocommit = False
        lines = [self._line(plan, action, started)] if action.kind == "template" else []
        self.session.run(self.composer.join([*lines, *self._closing(plan, [action])]))
        self.session.commit()
        done.append(action)

    def _migrate_alone(self, plan: Plan, template: Template) -> None:
        try:
            self.session.run(template.sql)
        except self.psycopg2.Error as error:
            cause = template_failure(template, plan.tenant.slug, error)
            if self.session.connection.closed:
                raise cause from error
            left = self._invalid(plan)
            note = f" It left the invalid index {', '.join(left)} behind, which the next run drops." if left else ""
            raise SlipwayError(f"{cause.message}{note}", hint=cause.hint, details=cause.details) from error
        left = self._invalid(plan)
        if left:  # IF NOT EXISTS passes over an index that is not ready
            raise SlipwayError(
                f"The index {left[0]} of tenant {plan.tenant.slug} is invalid, and another session works on its table.",
                hint="Wait until that session is done (see pg_stat_activity), then run again.",
            )

    def _invalid(self, plan: Plan) -> list[str]:
        return [row[0] for row in self.session.rows(INVALID, (plan.schema,))]

    def _enter(self, text: str, plan: Plan, timeout: str) -> Composable:
        sql = self.composer.sql
        path = [sql.Identifier(name) for name in (plan.schema, *self.request.shared_schemas)]
        statement: Composable = sql.SQL(text).format(
            role=sql.Identifier(plan.role), path=sql.SQL(", ").join(path), timeout=sql.Literal(timeout)
        )
        return statement

    def _template(self, plan: Plan, action: Action) -> Composable:
        """Run one template as the tenant's role. Returns the ledger's line for it."""
        template: Template = action.data["template"]
        self.session.run(self._enter(ENTER, plan, self.request.lock_timeout))
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
        return self._line(plan, action, started)

    def _line(self, plan: Plan, action: Action, started: float) -> Composable:
        template: Template = action.data["template"]
        milliseconds = round((time.monotonic() - started) * 1000)
        values = (plan.tenant.slug, template.name, template.checksum, milliseconds)
        line: Composable = self.composer.sql.SQL(LEDGER).format(*map(self.composer.literal, values))
        return line

    def _closing(self, plan: Plan, actions: Sequence[Action]) -> list[Composable]:
        """What every change ends with: a new revision and the event."""
        slug = plan.tenant.slug
        touch = self.composer.sql.SQL(
            "UPDATE slipway.tenants SET revision = txid_current(), updated_at = clock_timestamp() WHERE slug = {}"
        ).format(self.composer.literal(slug))
        new = any(action.kind in ("register", "unregister") for action in actions)
        return [*([] if new else [touch]), events.statement(slug, [action.text for action in actions])]


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
        hint=_next_step(template, cause),
        details={**cause.details, "template": template.name},
    )


def _next_step(template: Template, cause: SlipwayError) -> str:
    if cause.details.get("sqlstate") == NEEDS_NO_TRANSACTION:
        return f"Give that statement a file of its own whose first line is: -- slipway: {NO_TRANSACTION}"
    if template.transactional:
        return cause.hint or "Nothing of it was kept. Correct the template and run again."
    return cause.hint or "Correct the template, or what it met, and run again."


def _with_tenant(error: SlipwayError, slug: str) -> SlipwayError:
    return SlipwayError(f"Tenant {slug}: {error.message}", hint=error.hint, details=error.details)
