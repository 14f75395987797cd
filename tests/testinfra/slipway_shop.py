# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The demo's shop with something changed: its Compose file, its environment, its routes."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from slipway_lab import ROOT, Play, Server

INVENTORY = ROOT / "inventories/demo/group_vars/vps/stack.yml"
COMPOSE = ROOT / "tests/fixtures/sample_app/deploy/compose.yml"
# A release in a test is watched and drained for a short time only.
QUICK = {"stack_observe": 1, "stack_drain_websocket": 3}


class Shop:
    """What the inventory says about the stack, to be changed at will, and the playbooks that apply it."""

    def __init__(self, server: Server, directory: Path) -> None:
        self.server = server
        self._directory = directory
        self.variables: dict[str, Any] = {**yaml.safe_load(INVENTORY.read_text(encoding="utf-8")), **QUICK}
        # Each server has a domain of its own.
        del self.variables["stack_domain"]
        self.compose: dict[str, Any] = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))

    def set(self, **variables: Any) -> None:
        self.variables.update(variables)

    def environment(self, service: str, **values: str) -> None:
        self.compose["services"][service]["environment"].update(values)

    def add_worker(self) -> None:
        """A service that must run once only."""
        worker = copy.deepcopy(self.compose["services"]["api"])
        for key in ("healthcheck", "volumes"):
            del worker[key]
        worker["command"] = ["work"]
        worker["environment"]["APP_ROLE"] = "worker"
        self.compose["services"]["worker"] = worker
        self.variables["stack_exclusive_services"] = ["worker"]

    def _arguments(self, more: Mapping[str, Any]) -> tuple[str, str]:
        compose = self._directory / "compose.yml"
        compose.write_text(yaml.safe_dump(self.compose, sort_keys=False), encoding="utf-8")
        variables = self._directory / "variables.json"
        content = {**self.variables, "stack_compose_file": str(compose), **more}
        variables.write_text(json.dumps(content), encoding="utf-8")
        variables.chmod(0o600)
        return "--extra-vars", f"@{variables}"

    def play(self, name: str, *arguments: str, **variables: Any) -> Play:
        return self.server.play(name, *self._arguments(variables), *arguments)

    def deploy(self, release: str, *arguments: str, **variables: Any) -> Play:
        self.variables["stack_release"] = release
        play = self.play("deploy", *arguments, **variables)
        assert play.code == 0, play.output[-6000:]
        return play

    # --- what the host says

    def history(self) -> list[dict[str, Any]]:
        """Newest first."""
        found = self.server.vps.check_output("slipway release list shop --json")
        return list(json.loads(found))

    def containers(self, service: str = "", *, everything: bool = False) -> list[dict[str, Any]]:
        """As inspected; those that run, or all."""
        labels = f"--filter label=vps.slipway.service={service}" if service else "--filter label=vps.slipway.stack=shop"
        listed = self.server.vps.check_output(f"docker ps --quiet {'--all' if everything else ''} {labels}").split()
        return list(json.loads(self.server.vps.check_output(f"docker inspect {' '.join(listed)}"))) if listed else []

    def environment_of(self, service: str) -> dict[str, str]:
        """What the running containers of a service were given; all of them the same."""
        found = [dict(entry.split("=", 1) for entry in c["Config"]["Env"]) for c in self.containers(service)]
        assert found and all(one == found[0] for one in found)
        return found[0]

    def query(self, statement: str) -> str:
        """One value from the shop's database."""
        command = "docker exec -i shop-data-postgres-1 psql --username shop --dbname shop --tuples-only --no-align"
        return str(self.server.vps.check_output(f'{command} --command "{statement}"')).strip()
