# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sign-ups become tenants: what the timer on the host does with the rows of public.tenants.

A look costs the same few queries whatever the number of rows. Only rows that are new, that lack a template or whose
host names are not served yet are worked on, with the same code as module postgres_tenant.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from ..common import require
from ..common.errors import SlipwayError
from ..common.events import Emitter
from ..common.files import read_json, write_json
from ..postgres import failure
from . import catalog, engine, foundation, problems, spec, store
from .catalog import Wanted
from .problems import Problem
from .session import Session
from .sites import Sites

Answer = TypeVar("Answer")

ROWS = """
SELECT t.id::text, coalesce(t.subdomain::text, ''), coalesce(t.custom_domain::text, ''), s.slug, s.state,
       md5(concat_ws(chr(31), t.subdomain, t.custom_domain, t.plan_id))
FROM public.tenants t LEFT JOIN slipway.tenants s ON s.registry_id = t.id::text ORDER BY 2
"""

# By how many tenants whose row is still there.
RAN = """
SELECT m.template, count(t.id) FROM slipway.tenant_migrations m JOIN slipway.tenants s ON s.slug = m.slug
LEFT JOIN public.tenants t ON t.id::text = s.registry_id GROUP BY m.template
"""

BEHIND = """
SELECT s.registry_id FROM slipway.tenants s WHERE s.registry_id IS NOT NULL AND %s > (
    SELECT count(*) FROM slipway.tenant_migrations m WHERE m.slug = s.slug AND m.template = ANY(%s))
"""


@dataclass(frozen=True)
class Row:
    """A row of the registry, with what is known of it here."""

    identity: str
    subdomain: str
    custom_domain: str
    slug: str | None
    state: str | None
    digest: str


@dataclass
class Look:
    """What one look at the registry found."""

    rows: list[Row]
    known: dict[str, Problem]
    # templates that ran here and that this host was not told of
    newer: list[str]
    due: list[Row] = field(default_factory=list)
    queries: int = 0

    def waits(self, row: Row) -> bool:
        """Whether the row failed as it is now, and its next try is not due yet."""
        problem = self.known.get(row.identity)
        return bool(problem and problem.waits and problem.digest == row.digest)


def reconcile(stack: str, config: Mapping[str, Any], emitter: Emitter, *, now: bool = False) -> dict[str, Any]:
    """One run of the timer; `now` tries again what would wait. What was found is noted for the probe."""
    note = problems.NOTES / f"{stack}.json"
    before = read_json(note, {})
    try:
        result = Reconciliation(stack, config, before.get("sites") or {}, now).run(emitter)
    except SlipwayError as error:
        _note(note, {**before, "error": str(error)})
        raise
    _note(note, {"problems": result["problems"], "sites": result.pop("sites"), "rows": result["rows"], "error": ""})
    return result


def _note(path: Path, content: Mapping[str, Any]) -> None:
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    if not write_json(path, content, 0o644):
        path.touch()


class Reconciliation:
    """One run over the registry of one stack."""

    def __init__(self, stack: str, config: Mapping[str, Any], served: Mapping[str, Any], now: bool) -> None:
        request = spec.parse({**config, "source": "registry", "canary": None})
        # Only a person removes tenants.
        listed = tuple(tenant for tenant in request.tenants if tenant.state != "absent")
        self.request = replace(request, tenants=listed, on_error="continue")
        self.sites = Sites.from_config(stack, config, served)
        self.now = now
        self.failed: dict[str, str] = {}
        self.tried: set[str] = set()
        # failed for a moment only: not for what the row says, nor for what an authority counts
        self.early: set[str] = set()
        self.changed: set[str] = set()
        self.queries = 0

    def run(self, emitter: Emitter) -> dict[str, Any]:
        look = self._asked(self._look)
        if look.due:
            self._provide(look, emitter)
        found = list(look.known.values())
        try:
            if self.sites:
                self._serve(self.sites, look)
        finally:
            if self.tried or found:
                found = self._asked(lambda session: self._record(session, look))
        return {
            "rows": len(look.rows),
            "changed": sorted(self.changed),
            "problems": [problem.as_dict() for problem in found],
            "sites": self.sites.served if self.sites else {},
            "queries": self.queries,
        }

    def _asked(self, question: Callable[[Session], Answer]) -> Answer:
        """A question over a connection of its own: none is held while a certificate is waited for."""
        psycopg2 = require.load("psycopg2", "python3-psycopg2")
        with Session.open(self.request.connection) as session:
            try:
                answer = question(session)
                session.commit()
            except psycopg2.Error as error:
                raise failure.sentence(error) from error
            finally:
                self.queries += session.queries
            return answer

    def _look(self, session: Session) -> Look:
        server = catalog.server(session, self.request.application_roles)
        if not server.registry:
            raise SlipwayError(
                f"The database {server.database} has no table public.tenants.",
                hint="Run the application's migrations first.",
            )
        if server.store_version < store.VERSION:
            session.rollback()
            wanted = Wanted(application_roles=self.request.application_roles)
            foundation.lay(session, self.request, lambda: catalog.read(session, wanted))
        names = [template.name for template in self.request.templates]
        ran = dict(session.rows(RAN))
        newer = sorted(name for name in ran if name > max(names, default=""))
        look = Look(self._rows(session), problems.read(session), newer)
        tenants = sum(1 for row in look.rows if row.slug)
        complete = all(ran.get(name, 0) >= tenants for name in names)
        behind = set() if complete else {row[0] for row in session.rows(BEHIND, (len(names), names))}
        look.due = [
            row
            for row in look.rows
            if (row.slug is None or row.identity in behind) and (self.now or not look.waits(row))
        ]
        return look

    def _rows(self, session: Session) -> list[Row]:
        return [Row(*row) for row in session.rows(ROWS)]

    def _provide(self, look: Look, emitter: Emitter) -> None:
        """Schema, role, grants and templates of the rows that lack them."""
        self.tried = {row.identity for row in look.due}
        if look.newer:
            # Half a tenant is worse than none: its tables would lack what the application now expects.
            reason = SlipwayError(
                f"The SQL template {look.newer[0]} ran for other tenants, but this host does not have it.",
                hint="Run playbooks/tenants.yml, which brings it.",
            )
            self.failed = {row.identity: str(reason) for row in look.due}
            self.early = set(self.failed)
            return
        run = engine.work(self.request, emitter, only=sorted(self.tried))
        self.queries += run.session.queries
        self.failed = {outcome.registry_id: outcome.error for outcome in run.outcomes if outcome.error}
        self.changed = {outcome.slug for outcome in run.outcomes if outcome.changed}
        look.rows = self._asked(self._rows)

    def _serve(self, sites: Sites, look: Look) -> None:
        """Host names and certificates of the tenants that are there. Those on the list are served by the playbook."""
        listed = {tenant.slug for tenant in self.request.tenants}
        rows = [row for row in look.rows if row.slug and row.slug not in listed]
        waiting = {row.identity for row in rows if look.waits(row)} - self.tried
        done = sites.serve(rows, set() if self.now else waiting, listed)
        self.tried |= done.tried
        self.changed |= set(done.changed)
        for identity, error in done.failed.items():
            self.failed.setdefault(identity, error)

    def _record(self, session: Session, look: Look) -> list[Problem]:
        """The reasons of what failed; what was tried and did not, or is not there any more, is settled."""
        rows = {row.identity: row for row in look.rows}
        found = [
            Problem(identity, rows[identity].subdomain, "" if identity in self.early else rows[identity].digest, reason)
            for identity, reason in sorted(self.failed.items())
            if identity in rows
        ]
        settled = (self.tried - set(self.failed)) | (set(look.known) - set(rows))
        problems.write(session, found, sorted(settled), look.known)
        return list(problems.read(session).values())
