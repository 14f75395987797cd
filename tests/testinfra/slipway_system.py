# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A system of inventories/ on one of the lab's spare servers: its own inventory, laid over by the lab's names."""

from __future__ import annotations

import json
from typing import Any

from slipway_lab import POLITE, Play, Server, run_playbook


class System(Server):
    """Playbooks over a system's inventory. `name` is the host as that inventory calls it, `vps` the server itself."""

    def __init__(self, server: str, system: str, host: str, environment: str = "production") -> None:
        super().__init__(server)
        self.name = host
        self.inventory = f"inventories/{system}/{environment}"
        self.overlay = f"molecule/{system}/inventory/lab.yml"

    def play(self, name: str, *arguments: str, timeout: float = 900, nice: int = POLITE) -> Play:
        words = ("--inventory", self.overlay, "--limit", self.name, *arguments)
        return run_playbook(name, *words, inventory=self.inventory, timeout=timeout, nice=nice)

    def with_variables(self, name: str, **variables: Any) -> Play:
        return self.play(name, "--extra-vars", json.dumps(variables))

    def history(self, stack: str) -> list[dict[str, Any]]:
        """Its releases as the host tells them, newest first."""
        return list(json.loads(self.vps.check_output(f"slipway release list {stack} --json")))

    def containers(self, stack: str, service: str = "") -> list[dict[str, Any]]:
        """Those of a stack that run, or of one of its services, as inspected."""
        labels = f"--filter label=vps.slipway.stack={stack}"
        labels += f" --filter label=vps.slipway.service={service}" if service else ""
        names = self.vps.check_output(f"docker ps --quiet {labels}").split()
        return list(json.loads(self.vps.check_output(f"docker inspect {' '.join(names)}"))) if names else []
