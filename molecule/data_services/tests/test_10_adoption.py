# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A project that was started by hand becomes a stack: its rows, files and keys are there afterwards."""

from __future__ import annotations

import re
import urllib.request
from typing import Any

import pytest

PROJECT = "oldledger"
PLACE = "/opt/ledger"
CALL = f"cd {PLACE} && docker compose -p {PROJECT} -f compose.yml -f by_hand.yml"


def hand(server: Any, path: str, port: int = 8080, body: bytes | None = None) -> bytes:
    """A visitor of the old project, on the port that it publishes."""
    request = urllib.request.Request(
        f"http://{server.address}:{port}{path}", data=body, method="PUT" if body else "GET"
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        content: bytes = answer.read()
    return content


def serves_as_before(ledger: Any) -> bool:
    running = ledger.run(f"{CALL} ps --services --status running").split()
    return hand(ledger.server, "/uploads/bill.txt") == b"paid" and running == ["api", "postgres", "redis", "web"]


@pytest.fixture(scope="module", autouse=True)
def old_project(ledger: Any) -> None:
    """What a team had before: containers started by hand, with rows, a folder, a volume and keys."""
    vps = ledger.server.vps
    ledger.run(f"mkdir -p {PLACE}/uploads && chown 10001:10001 {PLACE}/uploads")
    for name in ("compose.yml", "by_hand.yml", "app.env", "init.sql", "redis.conf"):
        text = (ledger.app / name).read_text(encoding="utf-8")
        ledger.run(f"cat > {PLACE}/{name} <<'END_OF_FILE'\n{text}END_OF_FILE")
    # In single quotes Compose takes `$` as it is.
    lines = [f"{name}='{value}'" for name, value in ledger.settings["stack_secrets"].items()]
    lines += ["REGISTRY=registry.lab.test:5000", "RELEASE=1.0.0"]
    ledger.run(f"cat > {PLACE}/.env <<'END_OF_FILE'\n" + "\n".join(lines) + "\nEND_OF_FILE")
    ledger.run(f"{CALL} up --detach --wait --quiet-pull 2>&1")
    ledger.run(f"{CALL} run --rm --no-deps -T api migrate")
    ledger.sql("CREATE TABLE bills AS SELECT generate_series(1, 5000) AS number", f"{PROJECT}-postgres-1")
    ledger.redis("set", "open-bills", "41", container=f"{PROJECT}-redis-1")
    hand(ledger.server, "/uploads/bill.txt", body=b"paid")
    hand(ledger.server, "/uploads/logo.png", port=3000, body=b"picture")
    assert vps.run("docker volume ls -q").stdout.split() == [
        f"{PROJECT}_{n}" for n in ("media", "postgres_data", "redis_data")
    ]


def test_the_dry_run_names_what_is_taken_over_and_touches_nothing(ledger: Any) -> None:
    ledger.settings["stack_adopt_project"] = PROJECT
    play = ledger.playbook("deploy", "--check", "--diff")
    # On a host without the stack's files Compose cannot read the file yet, so that the names come with the real run.
    assert PROJECT in play.output
    assert serves_as_before(ledger)


@pytest.mark.long
def test_another_major_version_is_refused_before_anything_stops(ledger: Any) -> None:
    ledger.env["POSTGRES_TAG"] = "17"
    play = ledger.play("deploy")
    assert play.code != 0
    assert f"The project {PROJECT} runs PostgreSQL 15 as postgres, the new Compose file asks for 17" in play.output
    assert serves_as_before(ledger)
    ledger.env["POSTGRES_TAG"] = "15"


@pytest.mark.long
def test_when_the_first_release_fails_the_project_serves_as_before(ledger: Any) -> None:
    ledger.settings["stack_release"] = "1.2.0-crash"
    play = ledger.play("deploy", "--diff")
    assert play.code != 0
    assert f"The Compose project {PROJECT} serves as before." in play.output
    assert re.search(rf"The Compose project {PROJECT} serves again; it was away for [0-9.]+ s", play.output)
    assert serves_as_before(ledger)
    planned = ledger.playbook("deploy", "--check", "--diff")
    assert f"+volume postgres_data: {PROJECT}_postgres_data" in planned.output
    assert serves_as_before(ledger)
    assert (
        ledger.run(f"docker inspect --format '{{{{.HostConfig.RestartPolicy.Name}}}}' {PROJECT}-postgres-1") == "always"
    )
    assert ledger.sql("SELECT count(*) FROM bills", f"{PROJECT}-postgres-1") == "5000"
    assert ledger.run("docker ps --all --quiet --filter name=ledger-data").strip() == ""
    ledger.settings["stack_release"] = "1.0.0"


def test_the_first_release_takes_the_project_over(ledger: Any) -> None:
    play = ledger.playbook("deploy")
    away = re.search(rf"{PROJECT} was taken over; nothing served for ([0-9.]+) s", play.output)
    assert away and float(away.group(1)) < 60, play.output[-3000:]
    assert ledger.sql("SELECT count(*), sum(number) FROM bills") == "5000|12502500"
    assert ledger.sql("SELECT count(*) FROM started") == "1"
    assert ledger.redis("get", "open-bills") == "41"
    assert ledger.uploaded(ledger.api, "bill.txt") == b"paid"
    assert ledger.uploaded(ledger.web, "logo.png") == b"picture"
    mounts = ledger.run("docker inspect --format '{{range .Mounts}}{{.Name}} {{end}}' ledger-data-postgres-1")
    assert f"{PROJECT}_postgres_data" in mounts.split()
    assert ledger.run(f"docker ps --all --quiet --filter label=com.docker.compose.project={PROJECT}").strip() == ""


@pytest.mark.long
def test_a_second_run_changes_nothing(ledger: Any) -> None:
    play = ledger.playbook("deploy")
    assert play.changed[ledger.server.name] == 0, play.changed_tasks()
