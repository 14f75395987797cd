# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""New secrets: the application and the database change over together, and nobody who visits notices."""

from __future__ import annotations

import json
from typing import Any

from slipway_deploy_key import ssh as deploy_key
from slipway_lab import ROOT, Visitor

NEW = "a-new-password-with-'quotes-and-$signs"
QUICK = {"stack_release": "1.0.1", "stack_observe": 1, "stack_drain_websocket": 2, "stack_drain_http": 5}


def secrets(**changed: str) -> dict[str, str]:
    kept = {
        name: (ROOT / ".cache/demo" / name.lower()).read_text().strip()
        for name in ("POSTGRES_PASSWORD", "REDIS_PASSWORD")
    }
    return {**kept, **changed}


def variables(**values: Any) -> tuple[str, str]:
    return "--extra-vars", json.dumps({**QUICK, **values})


def logs_in(server: Any, password: str) -> bool:
    """From the host, where nothing but the password counts."""
    code = (
        "import sys, json, docker, psycopg2; c = docker.from_env().containers.get('shop-data-postgres-1');"
        "a = next(n['IPAddress'] for n in c.attrs['NetworkSettings']['Networks'].values() if n['IPAddress']);"
        "psycopg2.connect(host=a, user='shop', dbname='shop', password=json.loads(sys.argv[1])).close()"
    )
    return bool(server.vps.run("python3 -c %s %s", code, json.dumps(password)).rc == 0)


def hba(server: Any) -> str:
    return str(server.vps.run("docker exec shop-data-postgres-1 cat /var/lib/postgresql/data/pg_hba.conf").stdout)


def test_a_secret_of_another_data_service_is_refused(server: Any) -> None:
    wanted = variables(stack_secrets=secrets(REDIS_PASSWORD="another-password-for-redis"))
    play = server.play("rotate_secrets", "--check", *wanted)
    assert play.code != 0
    assert "part of the definition of the data service redis" in play.output


def test_a_rotation_that_fails_leaves_the_old_password(server: Any) -> None:
    before = hba(server)
    wanted = variables(stack_secrets=secrets(POSTGRES_PASSWORD=NEW), stack_health_timeout=1)
    with Visitor(server.web, f"alpha.{server.zone}") as visitor:
        play = server.play("rotate_secrets", *wanted)
    assert play.code != 0
    assert "The traffic never moved" in play.output
    assert visitor.bad == []
    assert logs_in(server, secrets()["POSTGRES_PASSWORD"])
    assert not logs_in(server, NEW)
    assert hba(server) == before


def test_a_rotation_changes_application_and_database_without_a_lost_request(server: Any) -> None:
    before = hba(server)
    wanted = variables(stack_secrets=secrets(POSTGRES_PASSWORD=NEW))
    with Visitor(server.web, f"alpha.{server.zone}") as visitor:
        play = server.playbook("rotate_secrets", *wanted)
    assert "serves with new secrets" in play.output
    assert visitor.asked > 100
    assert visitor.bad == []
    assert "pulling" not in play.output
    assert logs_in(server, NEW)
    assert not logs_in(server, secrets()["POSTGRES_PASSWORD"])
    assert hba(server) == before
    assert NEW not in play.output
    # Whatever else logs in on this host goes on, and the inventory with the new secret has nothing left to do.
    server.vps.run_expect([0], "slipway backup run shop")
    again = server.playbook("rotate_secrets", *wanted)
    assert again.changed == {server.name: 0}, again.changed_tasks()


def test_a_deploy_key_goes_on_with_the_new_secrets(server: Any) -> None:
    done = deploy_key(server, "release", "shop", "1.0.0")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].startswith("Release 1.0.0 (number ")
    assert done.stdout.splitlines()[-1].endswith(" of shop serves from slot green.")
