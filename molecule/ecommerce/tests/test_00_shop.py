# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the section of the e-commerce system in docs/systems.md says, as its visitors and operators see it."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from slipway_lab import ROOT
from slipway_receiver import RECEIVED, receiver
from slipway_system import System

VAULT = ROOT / "inventories/ecommerce/production/group_vars/vps/vault.yml"
OWN_DOMAIN = "bravo-books.vps7.wild.test"
PARTS = {"web", "dashboard", "api", "postgres", "pgbouncer", "redis"}
COLUMNS = ["created_at", "custom_domain", "id uuid", "plan_id", "subdomain"]
NOW_AND_THEN = "SELECT pg_sleep(1.2), 'a slow one'"


def environment(server: System, service: str) -> dict[str, str]:
    [container] = server.containers("shop", service)
    return dict(entry.split("=", 1) for entry in container["Config"]["Env"])


def redis(server: System, *words: str) -> list[str]:
    return str(server.vps.check_output(f"docker exec shop-data-redis-1 redis-cli {' '.join(words)}")).splitlines()


def test_a_go_api_two_front_ends_postgresql_15_and_redis_7_behind_nginx(server: System, tenants: Any) -> None:
    running = server.containers("shop")
    assert {one["Config"]["Labels"]["com.docker.compose.service"] for one in running} == PARTS
    assert tenants.sql("SHOW server_version")[0].startswith("15.")
    assert any(line.startswith("redis_version:7.") for line in redis(server, "info", "server"))
    for host, words in ((server.zone, "front end"), (f"admin.{server.zone}", "dashboard")):
        page = server.web.ask(host, "/")
        assert page.status == 200 and words in page.text
    assert server.web.ask(f"api.{server.zone}", "/ready").json()["checks"] == {"database": "ok", "redis": "ok"}
    assert server.vps.service("nginx").is_running


def test_the_settings_of_the_document(server: System) -> None:
    api = environment(server, "api")
    assert api["DATABASE_URL"].startswith("postgresql://shop:") and api["REDIS_URL"].startswith("redis://")
    assert environment(server, "web")["API_URL"] == f"https://api.{server.zone}"


def test_tls_everywhere_with_certificates_that_renew_themselves(server: System) -> None:
    names = {name for _kind, name in server.web.certificate(server.zone)["subjectAltName"]}
    assert names == {server.zone, f"api.{server.zone}", f"admin.{server.zone}"}
    assert server.web.plain(server.zone, "/").status == 301
    assert server.vps.service("certbot.timer").is_enabled and server.vps.service("certbot.timer").is_running


def test_tenants_have_the_table_and_the_schemas_of_the_document(tenants: Any) -> None:
    columns = tenants.sql(
        "SELECT CASE WHEN data_type = 'uuid' AND column_name = 'id' THEN 'id uuid' ELSE column_name END "
        "FROM information_schema.columns WHERE table_schema = 'public' AND table_name = 'tenants' ORDER BY 1"
    )
    assert columns == COLUMNS
    refers = (
        "SELECT confrelid::regclass FROM pg_constraint WHERE conrelid = 'public.tenants'::regclass AND contype = 'f'"
    )
    assert tenants.sql(refers) == ["plans"]
    unique = "SELECT count(*) FROM pg_index WHERE indrelid = 'public.tenants'::regclass AND indisunique"
    assert int(tenants.sql(unique)[0]) >= 2
    found = tenants.sql("SELECT schemaname FROM pg_tables WHERE tablename = 'products' ORDER BY 1")
    assert found == ["tenant_alpha", "tenant_bravo", "tenant_charlie"]


def test_a_tenant_has_a_subdomain_and_a_domain_of_its_own(server: System, tenants: Any) -> None:
    host = tenants.host("bravo")
    made = server.web.ask(OWN_DOMAIN, "/products", method="POST", body={"name": "atlas", "price_cents": 2500})
    assert made.status == 201, made.text
    assert "atlas" in server.web.products(host) and "atlas" in server.web.products(OWN_DOMAIN)
    for name in (host, OWN_DOMAIN):
        assert ("DNS", name) in server.web.certificate(name)["subjectAltName"]
    assert "atlas" not in server.web.products(tenants.host("alpha"))
    tenants.sql("DELETE FROM tenant_bravo.products WHERE name = 'atlas'")


def test_the_application_reaches_the_database_through_pgbouncer(server: System, tenants: Any) -> None:
    assert server.web.products(tenants.host("alpha")) == []
    # Over a network that no release touches, although both are on those of the slots as well.
    form = '{{(index .NetworkSettings.Networks "shop-data_backend").IPAddress}}'
    pooler = server.vps.check_output("docker inspect --format %s shop-data-pgbouncer-1", form)
    # The pooler takes away the name that a session gave itself; the host's own sessions keep theirs.
    clients = tenants.sql(
        "SELECT DISTINCT host(client_addr) FROM pg_stat_activity "
        "WHERE usename = 'shop' AND client_addr IS NOT NULL AND application_name NOT LIKE 'slipway%'"
    )
    assert clients == [pooler]


def test_a_slow_statement_is_in_the_log(server: System, tenants: Any) -> None:
    tenants.sql(NOW_AND_THEN)
    log = server.vps.run("docker logs --since 1m shop-data-postgres-1")
    assert "duration:" in log.stderr + log.stdout and "a slow one" in log.stderr + log.stdout


def test_redis_keeps_what_it_has_over_a_restart(server: System) -> None:
    assert redis(server, "config", "get", "appendonly")[-1] == "yes"
    redis(server, "set", "slipway-test", "kept")
    server.vps.check_output("docker restart shop-data-redis-1")
    server.vps.check_output("timeout 20 sh -c 'until docker exec shop-data-redis-1 redis-cli ping; do sleep 0.2; done'")
    assert redis(server, "get", "slipway-test") == ["kept"]


def test_what_containers_use_and_log_is_told_and_bounded(server: System) -> None:
    used = server.vps.check_output("docker stats --no-stream --format '{{.Name}} {{.MemUsage}}'").splitlines()
    assert len([line for line in used if line.startswith("shop-")]) == len(PARTS)
    for container in server.containers("shop"):
        assert container["HostConfig"]["LogConfig"]["Config"]["max-size"] == "10m"
    server.web.ask(f"api.{server.zone}", "/version?for=the-log")
    assert "/version?for=the-log" in server.vps.check_output("slipway logs shop api --lines 20")


def test_backups_go_to_external_storage_on_timers(server: System, objects: Any) -> None:
    assert [
        key for key in objects() if key.startswith(f"{server.zone}/shop/postgres/") and key.endswith("manifest.json")
    ]
    timers = server.vps.check_output("systemctl list-timers --all --no-legend --plain 'slipway-*@shop.timer'")
    assert all(f"slipway-{unit}@shop.timer" in timers for unit in ("backup", "verify", "drill", "base"))


def test_alarms_reach_slack_and_pagerduty(server: System) -> None:
    with receiver(server.vps):
        done = server.vps.run("slipway backup check shop --test")
        assert done.rc == 0, done.stderr
        bodies = [json.loads(line) for line in server.vps.check_output(f"cat {RECEIVED}").splitlines()]
    assert [body for body in bodies if "attachments" in body]
    actions = [body["event_action"] for body in bodies if "routing_key" in body]
    assert actions == ["trigger", "resolve"]


def test_the_drill_prints_the_recovery_goals_and_what_was_measured(server: System) -> None:
    """RTO 4 h, RPO 1 h, once a month."""
    said = " ".join(server.playbook("restore_drill").output.split())
    assert "no tenant without its schema" in said
    assert "RTO: the restore took" in said and "the goal of 4 h is met." in said
    assert "would be missing if the server were lost now; the goal of 1 h is met." in said
    shown = server.vps.check_output("systemctl show --property TimersCalendar slipway-drill@shop.timer")
    assert "Sun *-*-01..07" in shown


def test_a_goal_that_is_missed_fails_the_drill_and_the_backup_stays_good(server: System) -> None:
    config = "/etc/slipway/backup/shop.json"
    server.vps.check_output(f"cp --preserve {config} /root/goals.json")
    with receiver(server.vps):
        try:
            wanted = json.loads(server.vps.check_output(f"cat {config}"))["goals"]
            assert wanted == {"rto": "4h", "rpo": "1h"}
            server.vps.check_output(f'sed -i \'s/"rto": "4h"/"rto": "0.1s"/\' {config}')
            done = server.vps.run("slipway backup drill shop")
            assert done.rc == 1 and "the goal of 0.1 s is missed." in done.stderr
            known = json.loads(server.vps.check_output("cat /var/lib/slipway/backup/shop/postgres/drill.json"))
            assert known["last"]["result"] == "good" and len(known["last"]["missed"]) == 1
        finally:
            server.vps.check_output(f"mv /root/goals.json {config}")
        server.vps.check_output("slipway backup drill shop")
        # A check that is still sending the alarm would leave a failed unit to the tests that follow.
        server.vps.check_output("systemctl restart slipway-backup-check@shop.service")


def test_the_secrets_of_the_example_are_refused_before_anything_changes(server: System) -> None:
    example = {name: value for name, value in yaml.safe_load(VAULT.read_text()).items() if "s3" not in name}
    play = server.with_variables("site", **example)
    said = " ".join(play.output.split())
    assert play.code != 0
    assert play.changed[server.name] == 0, play.changed_tasks()
    assert "These secrets have the values of an example still" in said
    judged = ("POSTGRES_PASSWORD", "REDIS_PASSWORD", "tenants_pooler_password")
    for name in (*judged, "backup_webhooks: pagerduty", "backup_webhooks: slack"):
        assert name in said
    assert "CHANGE_ME" not in said


@pytest.mark.long
def test_a_second_run_changes_nothing(server: System) -> None:
    play = server.playbook("site")
    assert play.changed == {server.name: 0}, play.changed_tasks()
