# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The leagues of DerbyOps on one server: their playbooks, with more of them or fewer, and what Docker says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml
from slipway_lab import ROOT, Play
from slipway_system import System

LEAGUES = ROOT / "inventories/derbyops/production/group_vars/vps/leagues.yml"
TWO = ["alpha", "bravo"]
# The league that has a domain of its own.
OWN_DOMAIN = {"bravo": "bravobay"}


class Leagues:
    """The server with its leagues, of which a test may add some and take some away."""

    def __init__(self, server: System, place: Path) -> None:
        self.server = server
        self.vps = server.vps
        self.more = place / "more.yml"
        self.stacks: list[dict[str, Any]] = yaml.safe_load(LEAGUES.read_text())["stack_instances"]

    def play(self, name: str, *arguments: str, stacks: list[dict[str, Any]] | None = None) -> Play:
        variables = {"stack_instances": self.stacks if stacks is None else stacks}
        # In an inventory, as its owner would write it: on the command line it would be meant for all stacks alike.
        self.more.write_text(yaml.safe_dump({"vps": {"hosts": {self.server.name: variables}}}))
        return self.server.play(name, "--inventory", str(self.more), *arguments)

    def playbook(self, name: str, *arguments: str, stacks: list[dict[str, Any]] | None = None) -> Play:
        play = self.play(name, *arguments, stacks=stacks)
        assert play.code == 0, play.output[-6000:]
        return play

    def host(self, stack: str) -> str:
        return f"{OWN_DOMAIN.get(stack, stack)}.vps6.wild.test"

    def api(self, stack: str) -> str:
        return f"api.{self.host(stack)}"

    def output(self, command: str) -> str:
        ended = self.vps.run(command)
        assert ended.rc == 0, ended.stderr
        return str(ended.stdout)

    def containers(self, stack: str) -> dict[str, tuple[str, str]]:
        """Id and start of each container, by its name."""
        names = self.output(f"docker ps --all --filter name=^{stack}- --format {{{{.Names}}}}").split()
        seen = json.loads(self.output(f"docker inspect {' '.join(names)}")) if names else []
        return {one["Name"].lstrip("/"): (one["Id"], one["State"]["StartedAt"]) for one in seen}

    def database(self, stack: str) -> str:
        return f"{stack}-data-postgres-1"

    def psql(self, stack: str, statement: str) -> str:
        return self.output(
            f'docker exec {self.database(stack)} psql --username league --dbname league -Atc "{statement}"'
        ).strip()

    def application(self, stack: str) -> str:
        return self.output(f"docker ps --filter name=^{stack}-[bg].*-api- --format {{{{.Names}}}}").split()[0]


def said(play: Play) -> str:
    return " ".join(play.output.split())
