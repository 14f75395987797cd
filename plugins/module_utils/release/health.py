# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Is a release able to serve? Docker's own health, and HTTP from the host through the published ports."""

from __future__ import annotations

import http.client
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from ..common.errors import SlipwayError
from .daemon import Container, Daemon
from .spec import TENANTS, Route

POLL_SECONDS = 0.3
PROBE_SECONDS = 5.0
PROBE_PAUSE = 0.2
SETTLE_SECONDS = 2.0
MAX_RESTARTS = 3
LOG_LINES = 100
BODY_BYTES = 2000
OK_BELOW = 400


@dataclass(frozen=True)
class Answer:
    """What a health path said."""

    route: str
    address: str
    status: int  # 0: no answer
    body: str
    seconds: float

    @property
    def ok(self) -> bool:
        return 200 <= self.status < OK_BELOW

    def __str__(self) -> str:
        said = f"status {self.status}" if self.status else "no answer"
        body = " ".join(self.body.split())
        return f"{self.address}: {said}" + (f", {body[:300]!r}" if body else "")


def verdict(entry: Container, *, checked: bool, to_the_end: bool, now: datetime) -> str:
    """`ready`, `waiting` or the reason why it will not become ready."""
    if to_the_end:
        return _ended(entry)
    crashed = entry.status in ("exited", "dead") or (entry.status == "restarting" and entry.health == "unhealthy")
    if crashed or entry.restarts >= MAX_RESTARTS:
        return f"it ended with status {entry.exit_code} (restarted {entry.restarts} times)"
    if entry.health == "unhealthy":
        return "its health check fails"
    if not entry.running:
        return "waiting"
    if checked:
        return "ready" if entry.health == "healthy" else "waiting"
    return "ready" if _age(entry, now) >= SETTLE_SECONDS else "waiting"


def _ended(entry: Container) -> str:
    if entry.status != "exited":
        return "waiting"
    return "ready" if entry.exit_code == 0 else f"it ended with status {entry.exit_code}"


def _age(entry: Container, now: datetime) -> float:
    try:
        started = datetime.fromisoformat(entry.started_at[:19]).replace(tzinfo=timezone.utc)
    except ValueError:
        return 0.0
    return (now - started).total_seconds()


def wait(
    daemon: Daemon,
    project: str,
    expected: Mapping[str, int],
    checked: Iterable[str],
    to_the_end: Iterable[str],
    deadline: float,
) -> None:
    """Until every service has its containers and all are ready; `deadline` is a time.monotonic()."""
    with_check, ending = set(checked), set(to_the_end)
    while True:
        found = [entry for entry in daemon.containers(project) if entry.service in expected]
        now = datetime.now(timezone.utc)
        verdicts = {
            entry: verdict(entry, checked=entry.service in with_check, to_the_end=entry.service in ending, now=now)
            for entry in found
        }
        for entry, said in verdicts.items():
            if said not in ("ready", "waiting"):
                raise sick(daemon, entry, said)
        missing = [name for name, count in expected.items() if sum(e.service == name for e in found) < count]
        waiting = [entry for entry, said in verdicts.items() if said == "waiting"]
        if not missing and not waiting:
            return
        if time.monotonic() >= deadline:
            if waiting:
                raise sick(daemon, waiting[0], "it did not become ready in time")
            raise SlipwayError(f"The service {missing[0]} has no container.", hint="Look with: docker ps -a")
        time.sleep(POLL_SECONDS)


def sick(daemon: Daemon, entry: Container, reason: str) -> SlipwayError:
    """A container that is not ready, with everything that helps to see why."""
    return SlipwayError(
        f"The container {entry.name} is not ready: {reason}.",
        hint="Its health log and last lines are below.",
        details={"diagnosis": diagnosis(daemon, entry)},
    )


def diagnosis(daemon: Daemon, entry: Container) -> dict[str, Any]:
    return {
        "container": entry.name,
        "service": entry.service,
        "status": entry.status,
        "health": entry.health,
        "exit_code": entry.exit_code,
        "restarts": entry.restarts,
        "health_log": list(entry.health_log),
        "log": daemon.logs(entry.id, LOG_LINES).splitlines(),
    }


def ask(port: int, route: Route, domain: str) -> Answer:
    """One request from the host through the published port, as Nginx would send it."""
    host = domain if route.host == TENANTS else route.host
    address = f"http://127.0.0.1:{port}{route.health} (Host: {host})"
    headers = {
        "Host": host,
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": host,
        "X-Forwarded-For": "127.0.0.1",
        "User-Agent": "slipway-probe",
        "Connection": "close",
    }
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PROBE_SECONDS)
    started = time.monotonic()
    try:
        connection.request("GET", route.health, headers=headers)
        response = connection.getresponse()
        body = response.read(BODY_BYTES).decode(errors="replace")
        return Answer(route.name, address, response.status, body, time.monotonic() - started)
    except (OSError, http.client.HTTPException) as error:
        return Answer(route.name, address, 0, f"{type(error).__name__}: {error}", time.monotonic() - started)
    finally:
        connection.close()


def probe(
    routes: Sequence[Route], upstreams: Mapping[str, Sequence[int]], domain: str, successes: int, deadline: float
) -> None:
    """Every health path through every port, until each has answered well `successes` times in a row."""
    for route in routes:
        for port in upstreams[route.name]:
            _probe_one(route, port, domain, successes, deadline)


def _probe_one(route: Route, port: int, domain: str, successes: int, deadline: float) -> None:
    in_row = 0
    while in_row < successes:
        answer = ask(port, route, domain)
        in_row = in_row + 1 if answer.ok else 0
        if in_row < successes:
            if time.monotonic() >= deadline:
                raise SlipwayError(
                    f"The route {route.name} does not answer well {successes} times in a row: {answer}.",
                    hint=f"A status from 200 to 399 is expected on {route.health}.",
                    details={"probe": {"address": answer.address, "status": answer.status, "body": answer.body}},
                )
            time.sleep(PROBE_PAUSE)


def restarts(daemon: Daemon, project: str) -> dict[str, int]:
    """Restart counts, to be compared later."""
    return {entry.name: entry.restarts for entry in daemon.containers(project)}


def refuse_restarts(daemon: Daemon, project: str, before: Mapping[str, int]) -> None:
    """A container that restarted meanwhile is not stable, however well it answers now."""
    for entry in daemon.containers(project):
        if entry.restarts > before.get(entry.name, 0):
            raise sick(daemon, entry, "it restarted while it was being probed")
