# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Is a release able to serve? Docker's own health, and HTTP from the host through the published ports."""

from __future__ import annotations

import http.client
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from ..common.errors import SlipwayError
from .daemon import Container, Daemon
from .expectation import Expectation, excerpt
from .spec import TENANTS, Route

POLL_SECONDS = 0.3
PROBE_SECONDS = 5.0
SHOWN_BODY = 2000
PROBE_PAUSE = 0.2
PROBES_AT_ONCE = 8
SETTLE_SECONDS = 2.0
MAX_RESTARTS = 3
LOG_LINES = 100
# Enough to find what a body is expected to say.
BODY_BYTES = 1 << 20


@dataclass(frozen=True)
class Answer:
    """What a health path said."""

    address: str
    status: int  # 0: no answer
    headers: Mapping[str, str]  # names in lower case
    body: str
    complaint: str  # empty: it is what was expected

    @property
    def ok(self) -> bool:
        return not self.complaint

    def __str__(self) -> str:
        body = excerpt(self.body)
        return f"{self.address}: {self.complaint or f'status {self.status}'}" + (f", {body!r}" if body else "")

    def as_dict(self) -> dict[str, Any]:
        return {
            "address": self.address,
            "status": self.status,
            "headers": dict(self.headers),
            "body": self.body[:SHOWN_BODY],
            "complaint": self.complaint,
        }


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
        hint="Its health log and its last lines say more. Correct the release, then release again.",
        details={"diagnosis": [diagnosis(daemon, entry)]},
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
    headers = {
        "Host": host,
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": host,
        "X-Forwarded-For": "127.0.0.1",
    }
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PROBE_SECONDS)
    address = f"http://127.0.0.1:{port}{route.health.path} (Host: {host})"
    return answer(connection, address, route.health, headers)


def answer(
    connection: http.client.HTTPConnection, address: str, wanted: Expectation, headers: Mapping[str, str]
) -> Answer:
    """One request, judged; the connection is closed."""
    sent = {"User-Agent": "slipway-probe", "Connection": "close", **headers}
    try:
        connection.request("GET", wanted.path, headers=sent)
        response = connection.getresponse()
        got = {name.lower(): value for name, value in response.getheaders()}
        body = response.read(BODY_BYTES).decode(errors="replace")
        return Answer(address, response.status, got, body, wanted.complaint(response.status, got, body))
    except (OSError, http.client.HTTPException) as error:
        return Answer(address, 0, {}, f"{type(error).__name__}: {error}", "no answer")
    finally:
        connection.close()


def probe(
    routes: Sequence[Route], upstreams: Mapping[str, Sequence[int]], domain: str, successes: int, deadline: float
) -> None:
    """Every health path through every port, until each has answered well `successes` times in a row."""
    asked = [(route, port) for route in routes for port in upstreams[route.name]]
    with ThreadPoolExecutor(max_workers=PROBES_AT_ONCE) as pool:
        for probing in [pool.submit(_probe_one, route, port, domain, successes, deadline) for route, port in asked]:
            probing.result()


def _probe_one(route: Route, port: int, domain: str, successes: int, deadline: float) -> None:
    in_row = 0
    while in_row < successes:
        said = ask(port, route, domain)
        in_row = in_row + 1 if said.ok else 0
        if in_row < successes:
            if not said.ok and time.monotonic() >= deadline:
                raise unwell(f"The route {route.name} does not answer well {successes} times in a row", route, said)
            time.sleep(PROBE_PAUSE)


def unwell(sentence: str, route: Route, said: Answer) -> SlipwayError:
    """A route whose answer is not what its health is described as."""
    return SlipwayError(
        f"{sentence}: {said}.",
        hint=f"{route.health} Correct the release, or the health of the route in stack_routes.",
        details={"probe": said.as_dict(), "service": route.service},
    )


def restarts(daemon: Daemon, project: str) -> dict[str, int]:
    """Restart counts, to be compared later."""
    return {entry.name: entry.restarts for entry in daemon.containers(project)}


def refuse_unstable(daemon: Daemon, project: str, before: Mapping[str, int], services: Collection[str]) -> None:
    """A container that restarted, ended or fell ill meanwhile is not stable, however well its routes answer now."""
    found = daemon.containers(project)
    gone = sorted(set(before) - {entry.name for entry in found})
    if gone:
        raise SlipwayError(
            f"The container {gone[0]} is gone: somebody removed it while the release was on its way.",
            hint="Release again.",
        )
    for entry in found:
        complaint = unstable(entry, before.get(entry.name, 0))
        if complaint and entry.service in services:
            raise sick(daemon, entry, complaint)


def unstable(entry: Container, restarts_before: int) -> str:
    """Why a container that was ready no longer is; empty if it still is."""
    if entry.restarts > restarts_before:
        return "it restarted while it was being probed"
    if not entry.running:
        return f"it no longer runs (status {entry.status}, exit status {entry.exit_code})"
    if entry.health == "unhealthy":
        return "its health check fails"
    return ""
