# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Data services change by their own playbook only: a setting, a minor and a major version, each with a way back."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest

SERVER_VERSION = "SELECT current_setting('server_version_num')::int / 10000"
FACTS = """SELECT (SELECT count(*) FROM bills), (SELECT sum(number) FROM bills), (SELECT count(*) FROM started),
 (SELECT rolconfig::text FROM pg_roles WHERE rolname = 'auditor'), (SELECT last_value FROM bill_numbers),
 has_table_privilege('auditor', 'bills', 'SELECT')""".replace("\n", "")


def container_id(ledger: Any, service: str) -> str:
    return str(ledger.run(f"docker inspect --format '{{{{.Id}}}}' ledger-data-{service}-1"))


def no_trace_left(ledger: Any) -> bool:
    listed = ledger.run("ls /srv/ledger /srv/ledger/data; docker ps --all --format '{{.Names}}'")
    return not re.search(r"^(maintenance|change\.json|upgrade|ledger-upgrade.*)$", listed, re.MULTILINE)


@pytest.fixture(scope="module", autouse=True)
def backed_up(ledger: Any) -> None:
    ledger.playbook("site", "--tags", "backup")
    ledger.sql("CREATE ROLE auditor LOGIN; ALTER ROLE auditor SET work_mem = '8MB'; GRANT SELECT ON bills TO auditor")
    ledger.sql("CREATE SEQUENCE bill_numbers START 7000; SELECT nextval('bill_numbers')")


def test_a_changed_setting_waits_for_its_playbook(ledger: Any) -> None:
    before = container_id(ledger, "redis")
    ledger.env["REDIS_MAXMEMORY"] = "96mb"
    play = ledger.playbook("deploy")
    assert "The definition of the data service redis changed." in play.output
    assert container_id(ledger, "redis") == before
    planned = ledger.playbook("data_services", "--check", "--diff")
    assert re.search(r'^-\s+"64mb"', planned.output, re.MULTILINE)
    assert re.search(r'^\+\s+"96mb"', planned.output, re.MULTILINE)
    assert ledger.settings["stack_secrets"]["REDIS_PASSWORD"] not in planned.output
    assert container_id(ledger, "redis") == before
    ledger.playbook("data_services")
    assert container_id(ledger, "redis") != before
    assert ledger.redis("config", "get", "maxmemory").split()[-1] == str(96 * 1024 * 1024)
    assert ledger.redis("get", "open-bills") == "41"
    assert ledger.run("ls /var/backups/slipway/ledger/volumes | grep -c redis_data") == "1"
    assert ledger.server.web.ask(ledger.api, "/ready").status == 200
    assert no_trace_left(ledger)


def test_a_setting_that_does_not_work_is_taken_back(ledger: Any) -> None:
    ledger.env["REDIS_MAXMEMORY"] = "a-lot"
    play = ledger.play("data_services")
    assert play.code != 0
    assert "The change of redis was given up" in play.output
    assert ledger.redis("config", "get", "maxmemory").split()[-1] == str(96 * 1024 * 1024)
    assert ledger.redis("get", "open-bills") == "41"
    assert ledger.server.web.ask(ledger.api, "/ready").status == 200
    assert no_trace_left(ledger)
    ledger.env["REDIS_MAXMEMORY"] = "96mb"


@pytest.mark.long
def test_a_minor_version_keeps_the_volume(ledger: Any) -> None:
    before = ledger.sql(FACTS)
    ledger.env["POSTGRES_TAG"] = "15-rebuilt"
    play = ledger.playbook("data_services")
    assert re.search(r"Backup \S+: [0-9]+ bytes at", play.output)
    assert ledger.sql(FACTS) == before
    assert ledger.server.web.ask(ledger.api, "/ready").status == 200


@pytest.mark.long
def test_a_major_version_is_confirmed_then_cut_off_and_put_back(ledger: Any) -> None:
    before = ledger.sql(FACTS)
    ledger.env["POSTGRES_TAG"] = "17"
    play = ledger.play("data_services")
    assert play.code != 0
    assert "would go from 15 to 17, a new major version" in play.output
    assert ledger.sql(SERVER_VERSION) == "15"
    kill_in_phase(ledger, "transfer postgres")
    assert ledger.run("slipway release boot ledger") is not None
    assert (ledger.sql(SERVER_VERSION), ledger.sql(FACTS)) == ("15", before)
    assert "_pg17" not in ledger.run("docker volume ls --quiet")
    assert no_trace_left(ledger)


def kill_in_phase(ledger: Any, phase: str) -> None:
    """SIGKILL to the agent's job as soon as it is in this phase."""
    import threading

    done: list[Any] = []
    run = threading.Thread(
        target=lambda: done.append(ledger.play("data_services", "-e", "data_services_upgrade=ledger"))
    )
    run.start()
    deadline = time.monotonic() + 120
    newest = "cat $(ls -td /var/lib/slipway/jobs/release-data_services-* | head -1)/events.jsonl"
    while phase not in str(ledger.server.vps.run(newest).stdout):
        assert time.monotonic() < deadline, done
        time.sleep(0.2)
    ledger.run("systemctl kill --signal=KILL --kill-whom=all 'slipway-job-release-data_services-*'")
    run.join()
    assert done[0].code != 0


@pytest.mark.long
def test_a_major_version_moves_every_row_to_a_new_volume(ledger: Any) -> None:
    before = ledger.sql(FACTS)
    ledger.env["POSTGRES_TAG"] = "17"
    play = ledger.playbook("data_services", "-e", "data_services_upgrade=ledger")
    assert (ledger.sql(SERVER_VERSION), ledger.sql(FACTS)) == ("17", before)
    assert re.search(r"Visitors saw the maintenance page for [0-9.]+ s", play.output)
    assert "The volume oldledger_postgres_data is kept." in play.output
    assert "oldledger_postgres_data_pg17" in ledger.run(
        "docker inspect --format '{{range .Mounts}}{{.Name}} {{end}}' ledger-data-postgres-1"
    )
    assert ledger.server.web.ask(ledger.api, "/ready").status == 200
    assert no_trace_left(ledger)
    again = ledger.playbook("data_services")
    assert again.changed[ledger.server.name] == 0, again.changed_tasks()


@pytest.mark.long
def test_the_next_release_and_a_backup_work_with_the_new_version(ledger: Any) -> None:
    ledger.settings["stack_release"] = "1.1.0"
    ledger.playbook("deploy")
    assert ledger.sql(SERVER_VERSION) == "17"
    ledger.run("slipway backup run ledger")


@pytest.mark.long
def test_the_way_back_is_the_old_volume(ledger: Any) -> None:
    refused = ledger.server.vps.run("slipway data back ledger postgres")
    assert refused.rc != 0 and "--confirm ledger" in refused.stderr
    ledger.run("slipway data back ledger postgres --confirm ledger")
    assert ledger.sql(SERVER_VERSION) == "15"
    assert ledger.sql("SELECT count(*) FROM bills") == "5000"
    assert ledger.server.web.ask(ledger.api, "/ready").status == 200
