# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Brings a list of certificates to what is wanted; one that is refused does not stop the others."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from typing import Any

from ..common.errors import SlipwayError
from ..common.process import CommandError, run
from ..host.preflight import resolve
from . import lineage, refusal, suffix
from .challenge import environment
from .destination import elsewhere
from .ledger import Entry, Ledger
from .limits import Guard
from .model import HTTP, Certificate, Settings
from .plan import Plan, plan

BUSY_PAUSE = 3.0
ATTEMPTS = 3


@dataclass
class Outcome:
    name: str
    domains: list[str]
    changed: bool = False
    replaced: bool = False
    reasons: list[str] = field(default_factory=list)
    error: str = ""
    problems: list[dict[str, str]] = field(default_factory=list)
    not_after: str = ""
    certificate: str = ""
    certificate_key: str = ""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def plans(settings: Settings, wanted: Sequence[Certificate]) -> list[Plan]:
    now = datetime.now(timezone.utc)
    return [plan(item, lineage.read(settings.config_dir, item.name), settings, now) for item in wanted]


def converge(settings: Settings, steps: Sequence[Plan], *, check: bool = False) -> list[Outcome]:
    return [_one(settings, step, check) for step in steps]


def _one(settings: Settings, step: Plan, check: bool) -> Outcome:
    outcome = Outcome(step.certificate.name, list(step.certificate.domains), reasons=list(step.reasons))
    if step.changed:
        try:
            _do(settings, step, check)
        except SlipwayError as error:
            outcome.error = str(error)
            outcome.problems = list(error.details.get("problems", []))
            _describe(settings, outcome, step.certificate.present)  # what is live goes on serving
            return outcome
    outcome.changed = step.changed
    outcome.replaced = step.changed and bool(step.before)
    _describe(settings, outcome, step.certificate.present)
    return outcome


def _do(settings: Settings, step: Plan, check: bool) -> None:
    """Ask the authority, unless it is known to refuse."""
    wanted = step.certificate
    if not wanted.present:
        if not check:
            _certbot(settings, step)
        return
    _refuse_elsewhere(settings, wanted)
    ledger = Ledger(settings.ledger, settings.server)
    domains, now = frozenset(wanted.domains), time.time()
    entries = ledger.entries()
    # with its names certified before, by the ledger or by what is on disk, the authority takes it for a renewal
    renewal = set(step.before) == domains or any(entry.issued and entry.domains == domains for entry in entries)
    error = Guard(settings.limits, entries, suffix.registered).refusal(wanted.name, domains, renewal, now)
    if error:
        raise error
    if not check:
        _order(settings, step, ledger, ledger.open(wanted.name, domains, renewal, now))


def _refuse_elsewhere(settings: Settings, wanted: Certificate) -> None:
    if wanted.home and wanted.proof(settings) == HTTP:
        for name in wanted.domains:
            if error := elsewhere(name, wanted.home, resolve):
                raise SlipwayError(error)


def _order(settings: Settings, step: Plan, ledger: Ledger, identity: str) -> None:
    ended = Entry(0.0, frozenset(step.certificate.domains))
    try:
        _certbot(settings, step)
    except SlipwayError as error:
        ended.issued = False
        # It did not start, or it ran out of time and may well have been heard.
        ended.asked = not isinstance(error, CommandError)
        ended.failed = tuple(problem["domain"] for problem in error.details.get("problems", []))
        ended.retry_at = float(error.details.get("retry_at", 0.0))
        raise
    finally:
        ledger.close(identity, time.time(), ended)


def _describe(settings: Settings, outcome: Outcome, present: bool) -> None:
    found = lineage.read(settings.config_dir, outcome.name) if present else None
    if found is not None:
        outcome.not_after = found.not_after.isoformat()
        outcome.certificate = f"{settings.config_dir}/live/{outcome.name}/fullchain.pem"
        outcome.certificate_key = f"{settings.config_dir}/live/{outcome.name}/privkey.pem"


def _certbot(settings: Settings, step: Plan) -> None:
    """Run certbot; wait while its timer runs it too, and try again when the authority stumbled."""
    give_up = time.monotonic() + settings.lock_wait
    attempts = 0
    while True:
        done = run(step.argv, timeout=settings.timeout + step.pause, env=environment(settings), check=False)
        if done.rc == 0:
            return
        output = f"{done.stdout}\n{done.stderr}"
        if refusal.is_busy(output) and time.monotonic() < give_up:
            time.sleep(BUSY_PAUSE)
            continue
        attempts += 1
        if not refusal.is_transient(output) or attempts >= ATTEMPTS:
            raise refusal.refusal(step.certificate.name, output)
