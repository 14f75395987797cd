# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any, ClassVar

from ...common import require
from ...common.errors import SlipwayError
from ...release.paths import DATA, SLOTS, StackPaths
from ..context import Context
from ..option import Option
from ..result import FAIL, OK, WARN, Outcome, fail, limits, worst
from .base import ProbeType

CHOICES = ("active", *SLOTS, DATA)
SHORT_ID = 12


class Container(ProbeType):
    name = "container"
    summary = "Containers run, are healthy and do not keep restarting."
    target = "a container's name; with O(probes[].stack), the name of a service in the Compose file."
    options: ClassVar[dict[str, Option]] = {
        "stack": Option("str", "Look at all containers of the service O(probes[].target) of this stack."),
        "slot": Option(
            "str",
            "Which of the stack's projects: V(active) serves when the probe runs, V(data) holds the databases.",
            default="active",
            choices=CHOICES,
        ),
        "count": Option("int", "How many containers the service must have at least.", default=1, minimum=1),
        "healthy": Option("bool", "Whether a container without a health check is a failure.", default=False),
        "restarts_warn": Option("int", "Restarts since the container was made that are a warning.", default=3),
        "restarts_fail": Option("int", "Restarts since the container was made that are a failure."),
    }

    def shown_target(self) -> str:
        stack = self.option("stack")
        return f"{self.probe.target} of {stack} ({self.option('slot')})" if stack else self.probe.target

    def expected(self) -> str:
        count = self.option("count")
        health = "healthy" if self.option("healthy") else "running"
        return health if count == 1 else f"{count} containers, {health}"

    def run(self, context: Context) -> Outcome:
        docker = require.load("docker", "python3-docker")
        try:
            client = docker.APIClient(version="auto", timeout=context.remaining())
            try:
                return self._judge(self._find(client, docker))
            finally:
                client.close()
        except docker.errors.DockerException as error:
            raise SlipwayError(
                f"Docker Engine did not answer: {error}.", hint="Look at: systemctl status docker"
            ) from error

    def _find(self, client: Any, docker: Any) -> list[dict[str, Any]]:
        """What `docker inspect` says about each container."""
        try:
            return [client.inspect_container(name) for name in self._names(client)]
        except docker.errors.NotFound as error:
            raise SlipwayError(
                f"There is no container named {self.probe.target}.", hint="List them with: docker ps --all"
            ) from error

    def _names(self, client: Any) -> list[str]:
        stack = self.option("stack")
        if not stack:
            return [self.probe.target]
        labels = [
            f"com.docker.compose.project={self._project(StackPaths(stack))}",
            f"com.docker.compose.service={self.probe.target}",
            "com.docker.compose.oneoff=False",
        ]
        return sorted(entry["Id"] for entry in client.containers(all=True, filters={"label": labels}))

    def _project(self, stack: StackPaths) -> str:
        slot: str = self.option("slot")
        if slot == "active":
            slot = "green" if stack.flag.exists() else "blue"
        return stack.project(slot)

    def _judge(self, found: list[dict[str, Any]]) -> Outcome:
        wanted: int = self.option("count")
        if len(found) < wanted:
            return fail(
                f"{len(found)} of {wanted} containers are there",
                f"slipway status; docker ps --all | grep {self.probe.target}",
            )
        verdicts = [self.verdict(attributes) for attributes in found]
        status = worst([status for status, _text in verdicts])
        named = zip(found, verdicts, strict=True)
        seen = [f"{_name(attributes)} {text}" for attributes, (one, text) in named if one == status]
        message = (
            verdicts[0][1] if len(found) == 1 else f"{len(found)} containers run" if status == OK else "; ".join(seen)
        )
        hint = "" if status == OK else f"docker logs --tail 50 {_name(found[0])}"
        return Outcome(status, message, hint, {"containers": [_observed(attributes) for attributes in found]})

    def verdict(self, attributes: dict[str, Any]) -> tuple[str, str]:
        """The status of one container and the words for it."""
        state = attributes["State"]
        if state["Status"] != "running":
            killed = ", killed for lack of memory" if state.get("OOMKilled") else ""
            return FAIL, f"is {state['Status']} (exit status {state.get('ExitCode')}{killed})"
        health = (state.get("Health") or {}).get("Status", "none")
        if health == "unhealthy" or (health == "none" and self.option("healthy")):
            return FAIL, "is unhealthy" if health == "unhealthy" else "has no health check"
        if health == "starting":
            return WARN, "is running, its health check has not passed yet"
        restarts = attributes.get("RestartCount", 0)
        status = limits(restarts, self.option("restarts_warn"), self.option("restarts_fail"))
        word = "healthy" if health == "healthy" else "running"
        return status, f"is {word}" + (f", restarted {restarts} times" if restarts else "")


def _name(attributes: dict[str, Any]) -> str:
    return str(attributes["Name"]).lstrip("/")


def _observed(attributes: dict[str, Any]) -> dict[str, Any]:
    state = attributes["State"]
    return {
        "name": _name(attributes),
        "id": attributes["Id"][:SHORT_ID],
        "state": state["Status"],
        "health": (state.get("Health") or {}).get("Status", "none"),
        "restarts": attributes.get("RestartCount", 0),
        "started": state.get("StartedAt"),
    }
