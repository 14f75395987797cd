# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The ledger: a stack with files, a folder, an env_file and named volumes, on a server of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from slipway_lab import ROOT, Play, Server

APP = ROOT / "tests" / "fixtures" / "sample_app" / "deploy" / "ledger"
SECRETS = {"POSTGRES_PASSWORD": "ledger$pass-word", "REDIS_PASSWORD": "Ledger0Redis0Secret"}


class Ledger:
    """The stack as its team would handle it: settings in, playbooks run, data asked for."""

    app = APP

    def __init__(self, server: Server, folder: Path) -> None:
        self.server = server
        self.folder = folder
        self.env: dict[str, str] = {"REGISTRY": "registry.lab.test:5000"}
        self.settings: dict[str, Any] = {
            "stack_name": "ledger",
            "stack_compose_file": str(APP / "compose.yml"),
            "stack_release": "1.0.0",
            "stack_secrets": SECRETS,
            "stack_routes": [
                {"name": "web", "service": "web", "port": 3000, "health": "/health"},
                {"name": "api", "host": f"api.{server.zone}", "service": "api", "port": 8080, "health": "/ready"},
            ],
            "stack_files": [
                {"src": str(APP / "init.sql"), "dest": "init.sql"},
                {"src": str(APP / "redis.conf"), "dest": "redis.conf"},
                {"content": "APP_NAME=The Ledger\n", "dest": "app.env", "mode": "0600"},
            ],
            "stack_data_services": ["postgres", "redis"],
            "stack_directories": [{"path": "uploads", "owner": "10001", "group": "10001"}],
            "stack_migrate": {"service": "api", "command": ["migrate"]},
            "stack_database": {"service": "postgres", "name": "ledger", "user": "ledger", **_password()},
            "stack_tenants": {},
            "tenants_list": [],
            "backup_s3_prefix": f"{server.name}-ledger",
            "backup_redis": {},
            "stack_observe": 1,
            "stack_drain_websocket": 2,
            "stack_health_timeout": 60,
        }

    @property
    def arguments(self) -> list[str]:
        path = self.folder / "settings.json"
        path.write_text(json.dumps({**self.settings, "stack_env": self.env}), encoding="utf-8")
        return ["--extra-vars", f"@{path}"]

    def play(self, name: str, *more: str) -> Play:
        return self.server.play(name, *self.arguments, *more)

    def playbook(self, name: str, *more: str) -> Play:
        return self.server.playbook(name, *self.arguments, *more)

    def run(self, command: str) -> str:
        done = self.server.vps.run(command)
        assert done.rc == 0, f"{command}\n{done.stdout}{done.stderr}"
        return str(done.stdout).strip()

    def sql(self, statement: str, container: str = "ledger-data-postgres-1") -> str:
        call = f"docker exec {container} psql --username ledger --dbname ledger --no-align --tuples-only"
        return self.run(f'{call} --quiet --command "{statement}"')

    def redis(self, *words: str, container: str = "ledger-data-redis-1") -> str:
        return self.run(f"docker exec {container} redis-cli {' '.join(words)}")

    def upload(self, host: str, name: str, content: bytes) -> None:
        answer = self.server.web.ask(host, f"/uploads/{name}", method="PUT", body=content)
        assert answer.status == 201, answer.text

    def uploaded(self, host: str, name: str) -> bytes:
        answer = self.server.web.ask(host, f"/uploads/{name}")
        assert answer.status == 200, answer.text
        return answer.body

    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.run("cat /srv/ledger/state.json"))
        return found

    @property
    def web(self) -> str:
        return self.server.zone

    @property
    def api(self) -> str:
        return f"api.{self.server.zone}"


def _password() -> dict[str, str]:
    return {"password": SECRETS["POSTGRES_PASSWORD"]}


@pytest.fixture(scope="session")
def ledger(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    return Ledger(server, tmp_path_factory.mktemp("ledger"))
