# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The same probes again and again on the host itself: metrics each time, a message only when a state changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ..alerts import ledger, options
from ..alerts.message import CRITICAL, WARNING, Alarm
from ..alerts.options import BACKUP, HEALTH
from ..common import validate
from ..common.errors import SlipwayError
from ..common.files import read_json, write_atomic
from . import engine, report
from .result import FAIL, OK, ProbeResult, Report

DIRECTORY = Path("/etc/slipway/probes")
# More bad probes than this have one cause, and are one message.
MANY = 5
# Backups have alarms of their own, where somebody is told of those.
OF_BACKUPS = ("backup_age", "restore_age", "wal_lag")


@dataclass(frozen=True)
class Watch:
    """How the probes of a stack are asked when nobody is there to look."""

    retries: int = 2
    interval: float = 5.0
    deadline: float = 60.0
    timeout: float = 5.0
    concurrency: int = 32
    metrics_directory: str = ""


def read(directory: Path, stack: str) -> tuple[list[dict[str, Any]], Watch]:
    """What playbooks/health.yml left on this host."""
    path = directory / f"{validate.stack_name(stack)}.json"
    try:
        content = read_json(path)
        if content is not None:
            return [dict(probe) for probe in content["probes"]], _watch(content.get("watch") or {})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        # The words of the error stay out: the file holds passwords.
        raise SlipwayError(
            f"The file {path} cannot be read ({type(error).__name__}).",
            hint="Run playbooks/health.yml for this host again.",
        ) from None
    raise SlipwayError(f"There is no file {path}.", hint="Run playbooks/health.yml for this host once.")


def _watch(given: Mapping[str, Any]) -> Watch:
    """Numbers that were given on a command line are text."""
    return Watch(**{name: type(getattr(Watch, name))(value) for name, value in given.items()})


def run(stack: str, directory: Path = DIRECTORY) -> tuple[Report | None, list[str]]:
    """The report, and a sentence for each thing that kept somebody from being told."""
    with ledger.alone(stack, HEALTH, f"probe {stack}"):
        problems: list[str] = []
        try:
            definitions, watch = read(directory, stack)
            found = engine.check(request(definitions, watch))
        except SlipwayError as error:
            unseen = Alarm("probes", f"It cannot be probed. {error}", f"slipway health {stack}")
            return None, [str(error), *_tell(stack, [unseen], blind=True)]
        try:
            write_metrics(found, stack, watch)
        except SlipwayError as error:
            problems.append(str(error))
        return found, [*problems, *_tell(stack, alarms(found, told_elsewhere(stack)), blind=False)]


def _tell(stack: str, found: list[Alarm], *, blind: bool) -> list[str]:
    return ledger.tell(stack, HEALTH, found, datetime.now(timezone.utc), blind=blind)


def request(definitions: list[dict[str, Any]], watch: Watch) -> engine.Request:
    """One bad answer wakes nobody: probes that say nothing of attempts are asked again."""
    patience = {"retries": watch.retries, "interval": watch.interval}
    return engine.Request(
        [one if _patient(one) else {**one, **patience} for one in definitions],
        concurrency=watch.concurrency,
        timeout=watch.timeout,
        deadline=watch.deadline,
    )


def _patient(definition: Mapping[str, Any]) -> bool:
    return any(definition.get(key) is not None for key in ("retries", "failures", "successes", "interval"))


def told_elsewhere(stack: str) -> tuple[str, ...]:
    """The types of probe whose failures the check of the backups tells."""
    try:
        return OF_BACKUPS if options.load(stack, BACKUP).webhooks else ()
    except SlipwayError:
        return ()


def alarms(found: Report, elsewhere: tuple[str, ...] = ()) -> list[Alarm]:
    """What is wrong now. Pure."""
    bad = [probe for probe in found.worst_first() if probe.status != OK and probe.type not in elsewhere]
    if len(bad) <= MANY:
        return [_alarm(probe) for probe in bad]
    names = ", ".join(probe.name for probe in bad)
    severity = _severity(bad[0])
    text = f"{len(bad)} of {len(found.probes)} probes are not well: {names}. The first: {bad[0].message}"
    return [Alarm("many", text, bad[0].hint, severity)]


def _alarm(probe: ProbeResult) -> Alarm:
    expected = f" (expected: {probe.expected})" if probe.expected else ""
    return Alarm(f"probe:{probe.name}", f"{probe.name}: {probe.message}{expected}", probe.hint, _severity(probe))


def _severity(probe: ProbeResult) -> str:
    return CRITICAL if probe.status == FAIL else WARNING


def file_name(stack: str) -> str:
    return f"slipway_health_{stack}.prom"


def write_metrics(found: Report, stack: str, watch: Watch) -> None:
    """Replaced as a whole, so that the collector never reads half of it."""
    if not watch.metrics_directory:
        return
    place = Path(watch.metrics_directory)
    try:
        write_atomic(place / file_name(stack), report.prometheus(found, {"stack": stack}), 0o644)
    except OSError as error:
        raise SlipwayError(
            f"The metrics of the probes cannot be written into {place}: {error.strerror}.",
            hint="Correct health_metrics_directory, or install node_exporter with its textfile collector.",
        ) from error
