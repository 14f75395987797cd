# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a line of a check list can look at: a name, its options, and a function from facts to a verdict."""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..common.errors import SlipwayError
from ..probe import engine as probes
from ..release import drift, edge, nginx, rollback
from ..release.expectation import Expectation
from ..release.spec import TENANTS
from .facts import Facts
from .lines import Verdict, reason, tick

GIB = 1 << 30
ASKED_TIMES = 5
SHOWN = 200
CONNECTIONS = """
SELECT CASE WHEN share < {limit} THEN '{good}' ELSE share || ' % of the connections' END FROM (
    SELECT round(100.0 * count(*) / current_setting('max_connections')::int) AS share FROM pg_catalog.pg_stat_activity
) AS used
"""

Options = Mapping[str, Any]


@dataclass(frozen=True)
class Check:
    """`options` are what the line may say with it."""

    look: Callable[[Options, Facts], Verdict]
    options: tuple[str, ...] = ()


# --- what people and the inventory say


def confirmed(given: Options, facts: Facts) -> Verdict:
    """Somebody has looked at it for this very release."""
    said, wanted = str(given.get("release") or ""), facts.asked.release
    if said == wanted:
        return tick(f"confirmed for release {wanted}")
    seen = f"it was confirmed for release {said}, and this is {wanted}" if said else "nobody has confirmed it"
    return reason(f"{seen}; {given['how']}" if given.get("how") else seen)


def environment(given: Options, facts: Facts) -> Verdict:
    """Each variable has a value."""
    values = {**facts.asked.env, **facts.asked.secrets}
    names = [str(name) for name in given.get("names") or sorted(values)]
    missing = [name for name in names if not values.get(name)]
    if missing:
        return reason(f"without a value: {', '.join(missing)}; set them in stack_env or stack_secrets")
    return tick(f"{len(names)} variables have a value")


def secrets(given: Options, facts: Facts) -> Verdict:
    """No secret is a placeholder or a short word."""
    least = int(given.get("min_length") or 16)
    short = sorted(name for name, length in facts.asked.secrets.items() if length < least)
    if short:
        return reason(f"shorter than {least} characters: {', '.join(short)}")
    return tick(f"{len(facts.asked.secrets)} secrets of {least} characters or more")


# --- what the release did


def phases(given: Options, facts: Facts) -> Verdict:
    """The release went through these phases."""
    if not facts.asked.released:
        return tick("there was nothing to release")
    ended = {str(phase["name"]): phase for phase in facts.asked.phases}
    names = [str(name) for name in given.get("names") or ended]
    missing = [name for name in names if ended.get(name, {}).get("result") != "done"]
    if missing:
        return reason(f"the release did not get through {', '.join(missing)}")
    return tick(", ".join(f"{name} {ended[name]['seconds']:.1f} s" for name in names))


def released(_given: Options, facts: Facts) -> Verdict:
    """The release that was asked for serves, from these images."""
    record, slot = facts.serving.record, facts.serving.slot
    if record.name != facts.asked.release:
        return reason(f"{record.label} serves, and {facts.asked.release} was asked for")
    return tick(f"{record.label} serves from slot {slot}")


# --- the host


def probe(given: Options, _facts: Facts) -> Verdict:
    """Any probe that health.yml knows."""
    found = probes.check(probes.Request([dict(given)])).probes[0]
    return tick(found.message) if found.status == "ok" else reason(f"{found.message}. {found.hint}".strip(" ."))


def disk(given: Options, facts: Facts) -> Verdict:
    limit = int(float(given.get("free_gb") or 5) * GIB)
    return probe({"type": "disk", "target": given.get("path") or "/", "fail_free_bytes": limit}, facts)


def units(given: Options, facts: Facts) -> Verdict:
    names = [str(name) for name in given.get("names") or ()]
    for name in names:
        seen = probe({"type": "systemd", "target": name}, facts)
        if not seen.ticked:
            return reason(f"{name}: {seen.seen}")
    return tick(f"active: {', '.join(names)}")


def backup(given: Options, facts: Facts) -> Verdict:
    wanted = {"type": "backup_age", "target": facts.asked.stack, "kind": given.get("kind") or "postgres"}
    hours = {"fail_hours": given["max_age_hours"]} if given.get("max_age_hours") else {}
    return probe({**wanted, **hours}, facts)


def connections(given: Options, facts: Facts) -> Verdict:
    """The database has room for more connections."""
    database, limit = facts.asked.database, int(given.get("max_percent") or 80)
    if not database.get("name"):
        raise SlipwayError("The stack has no database; describe it in stack_database.")
    service = database.get("service")
    good = f"under {limit} % of the connections"
    seen = probe(
        {
            "type": "postgres",
            "target": "" if service else database.get("host"),
            "login_container": facts.host.paths.container(service) if service else None,
            "login_port": database.get("port"),
            "login_user": database.get("user"),
            "login_password": database.get("password"),
            "login_db": database["name"],
            "ssl_mode": database.get("sslmode"),
            "ca_cert": database.get("ca_cert"),
            "query": CONNECTIONS.format(limit=limit, good=good),
            "expected": good,
        },
        facts,
    )
    return tick(f"{good} are taken") if seen.ticked else seen


def up(_given: Options, facts: Facts) -> Verdict:
    """Every container of the release runs and is healthy."""
    record, slot = facts.serving.record, facts.serving.slot
    containers = facts.host.daemon.containers(facts.host.paths.project(slot))
    missing = list(drift.missing(f"slot {slot}", containers, record.running))
    if missing:
        return reason(" ".join(missing))
    return tick(", ".join(f"{count} of {name}" for name, count in sorted(record.running.items())) + " up")


def health(_given: Options, facts: Facts) -> Verdict:
    """Every health path answers through Nginx as its route says."""
    asked = _asked(facts)
    for host, wanted in asked:
        said = edge.fetch(host, wanted)
        if not said.ok:
            return reason(str(said))
    return tick(f"{len(asked)} health paths answer through Nginx")


def response_times(given: Options, facts: Facts) -> Verdict:
    """The middle one of some answers of each health path, through Nginx."""
    limit = float(given.get("max_ms") or 500)
    slowest, where = 0.0, ""
    for host, wanted in _asked(facts):
        took = statistics.median(_milliseconds(host, wanted))
        if took >= slowest:
            slowest, where = took, f"https://{host}{wanted.path}"
    seen = f"{slowest:.0f} ms at {where}" if where else "no route has a health path that Nginx leads to it"
    return tick(seen) if where and slowest <= limit else reason(f"{seen} (at most {limit:g} ms)" if where else seen)


def _milliseconds(host: str, wanted: Expectation) -> list[float]:
    taken = []
    for _time in range(ASKED_TIMES):
        began = time.monotonic()
        edge.fetch(host, wanted)
        taken.append(1000 * (time.monotonic() - began))
    return taken


def _asked(facts: Facts) -> list[tuple[str, Expectation]]:
    routes = facts.serving.record.spec.routes
    return [(r.host, r.health) for r in routes if r.host != TENANTS and nginx.asked_through(routes, r)]


def logs(given: Options, facts: Facts) -> Verdict:
    """No container of the release has written such a line since it began."""
    pattern = str(given.get("pattern") or r'"level": ?"(error|fatal)"|\b(ERROR|FATAL|panic)\b')
    try:
        wanted = re.compile(pattern)
    except re.error as error:
        raise SlipwayError(f"The pattern {pattern!r} is no regular expression: {error}.") from error
    containers = facts.host.daemon.containers(facts.host.paths.project(facts.serving.slot))
    for entry in containers:
        if found := matching(facts.host.daemon.logs(entry.id, int(given.get("lines") or 1000)).splitlines(), wanted):
            return reason(f"{len(found)} lines of {entry.name}, the last: {found[-1][:SHOWN]}")
    return tick(f"{len(containers)} containers have written no such line")


def matching(lines: Sequence[str], wanted: re.Pattern[str]) -> list[str]:
    return [line for line in lines if wanted.search(line)]


def way_back(_given: Options, facts: Facts) -> Verdict:
    """There is a release to go back to, and nothing forbids it."""
    kept = [release for release in facts.host.store.all() if release.served]
    chosen = rollback.before(facts.state, kept)
    if chosen is None:
        return reason("no release older than the one that serves is kept")
    rollback.refuse_contract(facts.state, kept, chosen)
    return tick(f"{chosen.label} is kept: ansible-playbook slipway.vps.rollback")


CHECKS: dict[str, Check] = {
    "confirmed": Check(confirmed, ("release", "how")),
    "environment": Check(environment, ("names",)),
    "secrets": Check(secrets, ("min_length",)),
    "disk": Check(disk, ("path", "free_gb")),
    "units": Check(units, ("names",)),
    "backup": Check(backup, ("kind", "max_age_hours")),
    "connections": Check(connections, ("max_percent",)),
    "phases": Check(phases, ("names",)),
    "released": Check(released),
    "up": Check(up),
    "health": Check(health),
    "logs": Check(logs, ("pattern", "lines")),
    "response_times": Check(response_times, ("max_ms",)),
    "rollback": Check(way_back),
}
