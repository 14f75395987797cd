# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Brings a list of certificates to what is wanted; one that is refused does not stop the others."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from subprocess import TimeoutExpired
from typing import Any

from ..common.errors import SlipwayError
from ..common.files import touch
from ..common.process import CommandError, run
from ..host.preflight import resolve
from . import lineage, pair, refusal, renewal_info, repair, suffix
from .challenge import environment
from .destination import elsewhere
from .ledger import Entry, Ledger
from .limits import Guard
from .model import HTTP, Certificate, Settings
from .plan import Copy, Plan, plan

BUSY_PAUSE = 3.0
ATTEMPTS = 3
# For more certificates than this only the timer asks whether the authority wants one replaced.
MANY = 50


@dataclass
class Outcome:
    name: str
    domains: list[str]
    changed: bool = False
    replaced: bool = False
    reasons: list[str] = field(default_factory=list)
    error: str = ""
    # what went wrong although nobody has to do anything today
    warning: str = ""
    problems: list[dict[str, str]] = field(default_factory=list)
    not_after: str = ""
    certificate: str = ""
    certificate_key: str = ""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def plans(settings: Settings, wanted: Sequence[Certificate]) -> list[Plan]:
    now = datetime.now(timezone.utc)
    found = {item.name: lineage.read(settings.config_dir, item.name) for item in wanted}
    copies = {name: _copy(settings, name, one) for name, one in found.items()}
    steps = [plan(item, found[item.name], settings, now, copies[item.name]) for item in wanted]
    good = [step.certificate.name for step in steps if step.certificate.present and not step.changed]
    if not settings.renewal_info or not 0 < len(good) <= MANY:
        return steps
    chains = {name: pair.path(settings.serving, name) for name in good}
    wishes = renewal_info.wishes(settings.server, settings.ca_file, chains)
    return [
        plan(step.certificate, step.found, settings, now, copies[step.certificate.name], wish=wish)
        if (wish := wishes.get(step.certificate.name, ""))
        else step
        for step in steps
    ]


def _copy(settings: Settings, name: str, found: lineage.Lineage | None) -> Copy:
    path = pair.path(settings.serving, name)
    if not path.exists():
        return Copy(current=False, exists=False)
    if found and not found.fault and not found.relink:
        return Copy(current=pair.is_current(path, _place(settings, name).live))
    return Copy(current=False, domains=_look(path)[0])


def _look(path: Path) -> tuple[frozenset[str], datetime]:
    try:
        return lineage.look(path)
    except SlipwayError:
        return frozenset(), lineage.NO_TIME


def _place(settings: Settings, name: str) -> lineage.Place:
    return lineage.Place(Path(settings.config_dir), name)


def converge(settings: Settings, steps: Sequence[Plan], *, check: bool = False) -> list[Outcome]:
    return [_one(settings, step, check) for step in steps]


def _one(settings: Settings, step: Plan, check: bool) -> Outcome:
    outcome = Outcome(step.certificate.name, list(step.certificate.domains), reasons=list(step.reasons))
    copy = pair.path(settings.serving, outcome.name)
    before = copy.read_bytes() if step.changed and copy.exists() else b""
    if step.changed:
        outcome.changed = True
        try:
            _do(settings, step, check)
        except SlipwayError as error:
            _note(settings, outcome, error)
            # Half of the way may have been gone: damaged files are mended without the authority.
            outcome.changed = copy.exists() and copy.read_bytes() != before
        after = copy.read_bytes() if copy.exists() else b""
        outcome.replaced = step.served and (check or after != before)
        if outcome.replaced and not check:
            touch(settings.renewed)
    if step.certificate.present and pair.is_good(copy):  # also with an error: what is live goes on serving
        outcome.not_after = (_look(copy)[1] if step.changed or not step.found else step.found.not_after).isoformat()
        outcome.certificate = outcome.certificate_key = str(copy)
    return outcome


def _note(settings: Settings, outcome: Outcome, error: SlipwayError) -> None:
    """What could not be done: a warning while the certificate that is there does for some time yet."""
    outcome.problems = list(error.details.get("problems", []))
    away = isinstance(error.__cause__, TimeoutExpired) or error.details.get("away")
    domains, end = _look(pair.path(settings.serving, outcome.name)) if away else (frozenset[str](), lineage.NO_TIME)
    enough = end - datetime.now(timezone.utc) >= timedelta(days=settings.grace_days)
    if enough and domains >= set(outcome.domains):
        outcome.warning = f"{error.message} The one that is there serves until {end:%Y-%m-%d}. {error.hint}".strip()
    else:
        outcome.error = str(error)


def _do(settings: Settings, step: Plan, check: bool) -> None:
    """Mend what can be mended here, then ask the authority, unless it is known to refuse."""
    wanted, place = step.certificate, _place(settings, step.certificate.name)
    copy = pair.path(settings.serving, wanted.name)
    if not wanted.present:
        if not check:
            _remove(settings, step, place)
        return
    if step.found and not step.is_broken and not check:
        if step.relink:
            repair.relink(place, step.relink)
        pair.publish(copy, place.live)
    if step.argv:
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
            if step.is_broken:
                repair.set_aside(place)
            _order(settings, step, ledger, ledger.open(wanted.name, domains, renewal, now))
    if not check and not pair.publish(copy, place.live):
        raise SlipwayError(
            f"The certificate {wanted.name} was obtained, but what is in {place.live} does not belong together.",
            hint="Run again: it is then obtained anew.",
        )


def _remove(settings: Settings, step: Plan, place: lineage.Place) -> None:
    if step.argv:
        _certbot(settings, step)
    else:
        repair.set_aside(place)
    pair.withdraw(pair.path(settings.serving, place.name))


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
