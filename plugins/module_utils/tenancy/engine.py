# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One run: read, plan, apply, report. The same for the module, a release and the timer on the host."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..common import require
from ..common.errors import SlipwayError
from ..common.events import Emitter
from ..postgres import failure
from . import catalog, foundation, pooler, registry, spec
from . import plan as planning
from .apply import Applier
from .catalog import Catalog, Wanted
from .plan import Action, Plan
from .session import Session
from .spec import Request, Tenant
from .workers import Workers

OLDEST_SERVER = 130000
PHASE = "tenants"


@dataclass(slots=True)
class Outcome:
    """What became of one tenant."""

    slug: str
    tenant: Tenant | None = None
    plan: Plan | None = None
    error: str = ""
    skipped: bool = False
    # what was committed (in check mode, would be): with an error, what came before it
    done: list[Action] = field(default_factory=list)
    registry_id: str = ""

    @property
    def rejected(self) -> bool:
        """A row of the registry that cannot be a tenant, whatever is done here."""
        return self.tenant is None

    @property
    def changed(self) -> bool:
        return bool(self.done)

    def as_dict(self) -> dict[str, Any]:
        return {
            "slug": self.slug,
            "state": self.tenant.state if self.tenant else None,
            "schema": self.plan.schema if self.plan else None,
            "role": self.plan.role if self.plan else None,
            "changed": self.changed,
            "actions": [action.text for action in self.done],
            "extras": list(self.plan.extras) if self.plan else [],
            "error": self.error or None,
            "skipped": self.skipped,
            "rejected": self.rejected,
        }


@dataclass
class Run:
    """What a run needs at hand."""

    request: Request
    session: Session
    found: Catalog
    outcomes: list[Outcome]
    database: list[Action] = field(default_factory=list)


def converge(request: Mapping[str, Any], emitter: Emitter, check: bool = False) -> dict[str, Any]:
    """Make the tenants what the request says. The request has the shape of module postgres_tenant's parameters."""
    return _result(work(spec.parse(request), emitter, check))


def work(wanted: Request, emitter: Emitter, check: bool = False, only: Sequence[str] | None = None) -> Run:
    """The same for a request that was read before; of a registry, `only` the rows with these ids."""
    psycopg2 = require.load("psycopg2", "python3-psycopg2")
    with Session.open(wanted.connection) as session:
        try:
            run = _prepare(session, wanted, check, only)
            _plan(run)
            _apply(run, emitter, check)
        except psycopg2.Error as error:
            raise failure.sentence(error) from error
        return run


def verdict(result: Mapping[str, Any]) -> str:
    """One sentence about the tenants that failed; empty if none did. Whoever signs up cannot make a run fail."""
    failed = [tenant for tenant in result["tenants"] if tenant["error"] and not tenant["rejected"]]
    if not failed:
        return ""
    rest = f" ({len(failed) - 1} more failed)" if len(failed) > 1 else ""
    return f"{failed[0]['slug']}: {failed[0]['error']}{rest}"


def raise_on_failure(result: Mapping[str, Any]) -> None:
    """For callers that go no further when a tenant failed."""
    sentence = verdict(result)
    if sentence:
        raise SlipwayError(f"Tenants: {sentence}", details={"summary": result["summary"]})


def _prepare(session: Session, request: Request, check: bool, only: Sequence[str] | None) -> Run:
    """Read the database, and lay its foundation if that is missing."""
    outcomes, request = _wishes(session, request, only)
    found = _read(session, request, request.tenants)
    _refuse_old(found)
    registry.require_table(found, request)
    actions = foundation.needed(request, found)
    actions += pooler.needed(session, request.pooler, request.application_roles, found)
    if actions and check:
        foundation.pretend(found, actions)
    elif actions:
        session.rollback()  # the lock's transaction has to see what another run committed meanwhile
        actions = foundation.lay(session, request, lambda: _read(session, request, request.tenants))
        found = _read(session, request, request.tenants)
        registry.require_table(found, request)
    return Run(request, session, found, outcomes, actions)


def _wishes(session: Session, request: Request, only: Sequence[str] | None) -> tuple[list[Outcome], Request]:
    """Which tenants are meant: the list, or every row of the registry with the list on top."""
    if request.source == "inventory":
        return [Outcome(tenant.slug, tenant) for tenant in request.tenants], request
    server = catalog.server(session, request.application_roles)
    if not server.registry:
        return [Outcome(tenant.slug, tenant) for tenant in request.tenants], request
    wishes = registry.sign_ups(session, request, bool(server.store_version), only)
    outcomes = [Outcome(wish.name, wish.tenant, error=wish.error, registry_id=wish.registry_id) for wish in wishes]
    if request.canary and only is None:
        spec.require_canary(request.canary, [outcome.slug for outcome in outcomes if outcome.tenant])
    return outcomes, replace(request, tenants=tuple(wish.tenant for wish in wishes if wish.tenant))


def _read(session: Session, request: Request, tenants: Sequence[Tenant]) -> Catalog:
    wanted = Wanted(
        slugs=[tenant.slug for tenant in tenants],
        subdomains=[tenant.subdomain for tenant in tenants],
        custom_domains=[tenant.custom_domain for tenant in tenants if tenant.custom_domain],
        schemas=[tenant.schema for tenant in tenants],
        roles=[tenant.role for tenant in tenants],
        application_roles=request.application_roles,
        indexes=not all(template.transactional for template in request.templates),
    )
    return catalog.read(session, wanted)


def _refuse_old(found: Catalog) -> None:
    if found.server.version < OLDEST_SERVER:
        raise SlipwayError(
            f"The server is PostgreSQL {found.server.version // 10000}, which is too old.",
            hint="Tenants need PostgreSQL 13 or newer.",
        )


def _plan(run: Run) -> None:
    for outcome in run.outcomes:
        if outcome.tenant is not None:
            try:
                outcome.plan = planning.make(outcome.tenant, run.request, run.found)
            except SlipwayError as error:
                outcome.error = str(error)
    run.session.rollback()  # the reading transaction: it must not hold a snapshot while tenants are changed


def _apply(run: Run, emitter: Emitter, check: bool) -> None:
    """The canary first and alone, then the others side by side."""
    due = [outcome for outcome in run.outcomes if outcome.plan and outcome.plan.actions]
    canary = next((outcome for outcome in run.outcomes if _is_canary(outcome, run.request)), None)
    rest = [outcome for outcome in due if outcome is not canary]
    stopped = run.request.on_error == "stop" and any(outcome.error and not outcome.rejected for outcome in run.outcomes)
    for outcome in due:
        outcome.skipped = True
    settled = 0
    for group in ([outcome for outcome in due if outcome is canary], rest):
        if stopped or (canary and canary.error):
            continue
        for outcome in _work(run, group, check):
            settled += 1
            emitter.percent(PHASE, 100 * settled / len(due), outcome.error or outcome.slug)
            stopped = stopped or bool(outcome.error and run.request.on_error == "stop")
    if canary and canary.error and rest:
        canary.error += " It is the canary: no other tenant was begun."


def _is_canary(outcome: Outcome, request: Request) -> bool:
    # what a row that cannot be a tenant calls itself means nothing
    return bool(request.canary) and not outcome.rejected and outcome.slug == request.canary


def _work(run: Run, group: Sequence[Outcome], check: bool) -> Iterator[Outcome]:
    """Work off a group; each outcome as it is settled."""
    if check:
        for outcome in group:
            outcome.skipped = False
            outcome.done = list(outcome.plan.actions) if outcome.plan else []
            yield outcome
        return
    workers: Workers[Outcome] = Workers(run.session, run.request.connection, run.request.workers)

    def work(session: Session, outcome: Outcome) -> bool:
        outcome.skipped = False
        _apply_one(run, Applier(session, run.request, workers.abandoned), outcome)
        return not (outcome.error and run.request.on_error == "stop")

    yield from workers.run(group, work)


def _apply_one(run: Run, applier: Applier, outcome: Outcome) -> None:
    plan, tenant = outcome.plan, outcome.tenant
    if plan is None or tenant is None:
        return

    def replan() -> Plan:
        return planning.make(tenant, run.request, _read(applier.session, run.request, [tenant]))

    try:
        outcome.plan = applier.apply(plan, replan, outcome.done)
    except SlipwayError as error:
        outcome.error = str(error)


def _result(run: Run) -> dict[str, Any]:
    outcomes = run.outcomes
    changed = [outcome for outcome in outcomes if outcome.changed]
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    for name, actions in _changes(run.database, changed):
        before[name] = {action.key: action.before for action in actions}
        after[name] = {action.key: action.after for action in actions}
    return {
        "changed": bool(changed or run.database),
        "tenants": [outcome.as_dict() for outcome in outcomes],
        "database": [action.text for action in run.database],
        "summary": {
            "total": len(outcomes),
            "changed": len(changed),
            "failed": sum(1 for outcome in outcomes if outcome.error),
            "skipped": sum(1 for outcome in outcomes if outcome.skipped),
            "unchanged": sum(1 for o in outcomes if not (o.changed or o.error or o.skipped)),
        },
        "diff": {"before": before, "after": after},
        "queries": run.session.queries,
    }


def _changes(database: list[Action], changed: Iterable[Outcome]) -> Iterable[tuple[str, Sequence[Action]]]:
    if database:
        yield "database", database
    for outcome in changed:
        yield f"tenant {outcome.slug}", outcome.done
