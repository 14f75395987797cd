# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.slipway.vps.plugins.module_utils.probe.derive import derive
from ansible_collections.slipway.vps.plugins.module_utils.probe.registry import TYPES
from ansible_collections.slipway.vps.plugins.module_utils.probe.spec import parse_all

SHOP = {
    "stack_name": "shop",
    "stack_domain": "shop.test",
    "stack_routes": [
        {"service": "web", "port": 3000, "health": "/health"},
        {"host": "api.shop.test", "service": "api", "port": 8080, "health": "/ready"},
        {"host": "api.shop.test", "service": "media", "port": 8081, "path": "/media/", "health": "/up"},
        {"host": "tenants", "service": "api", "port": 8080, "health": "/ready"},
    ],
    "stack_replicas": {"api": 3},
    "stack_data_services": ["postgres", "redis"],
    "stack_exclusive_services": ["worker"],
    "stack_database": {"service": "postgres", "name": "shop", "user": "shop", "password": "hunter22", "port": 5432},
    "tenant_hosts": [
        {"slug": "alpha", "hosts": ["alpha.shop.test"]},
        {"slug": "big_one", "hosts": ["big-one.shop.test", "big.test"]},
    ],
    "health_redis": {"service": "redis", "password": "hunter23"},
    "health_ca_file": "/etc/slipway/probes/ca.pem",
    "health_units": ["nginx.service", {"unit": "certbot.timer", "max_age": 90000}],
    "health_disks": ["/"],
    "health_backup": True,
    "health_backup_bucket": True,
    "health_wal": True,
    "health_drill": True,
    "health_backup_kinds": ["redis", "files"],
    "health_probes": [{"name": "mine", "type": "tcp", "target": "127.0.0.1:25"}],
    "health_outside_ca_file": "ca file.pem",
    "health_outside_address": "10.0.0.7",
}


@pytest.fixture
def shop():
    found = derive(SHOP)
    return (
        {probe["name"]: probe for probe in found["inside"]},
        {probe["name"]: probe for probe in found["outside"]},
        found,
    )


def test_every_derived_probe_is_valid(shop):
    parse_all(shop[2]["inside"], TYPES, {})
    parse_all(shop[2]["outside"], TYPES, {})


def test_a_site_per_route_and_tenant(shop):
    inside, _outside, found = shop
    assert [name for name in inside if name.startswith("https://")] == [
        "https://shop.test/health",
        "https://api.shop.test/ready",
        "https://api.shop.test/up",
        "https://alpha.shop.test/ready",
        "https://big-one.shop.test/ready",
        "https://big.test/ready",
    ]
    assert inside["https://shop.test/health"]["address"] == "127.0.0.1"
    assert [row[0] for row in found["sites"]] == ["-", "-", "-", "alpha", "big_one", "big_one"]


def test_a_probe_expects_what_the_release_expected():
    health = {"path": "/health", "status": [200], "body": "ok", "headers": {"X-Release": "^1"}}
    found = derive({"stack_domain": "shop.test", "stack_routes": [{"service": "web", "port": 1, "health": health}]})
    probe = found["inside"][0]
    assert probe["target"] == "https://shop.test/health"
    assert (probe["status"], probe["body_matches"], probe["header_matches"]) == (["200"], "ok", {"X-Release": "^1"})
    parse_all(found["inside"], TYPES, {})


def test_a_health_path_that_leads_elsewhere_is_not_asked_for_this_route():
    routes = [{"service": "web", "port": 1}, {"service": "docs", "port": 2, "path": "/docs"}]
    found = derive({"stack_domain": "shop.test", "stack_routes": routes})
    asked = [row[1] for row in found["sites"]]
    assert asked == ["https://shop.test/", "https://shop.test/docs"]


def test_a_certificate_probe_per_host(shop):
    inside, _outside, _found = shop
    hosts = [probe["target"] for probe in inside.values() if probe["type"] == "tls"]
    assert hosts == ["shop.test", "api.shop.test", "alpha.shop.test", "big-one.shop.test", "big.test"]


def test_database_redis_and_containers(shop):
    inside, _outside, _found = shop
    database = inside["database shop"]
    assert (database["login_container"], database["login_password"]) == ("shop-data-postgres-1", "hunter22")
    assert inside["Redis redis"]["login_container"] == "shop-data-redis-1"
    slots = {
        probe["target"]: (probe["slot"], probe["count"]) for probe in inside.values() if probe["type"] == "container"
    }
    assert slots == {
        "postgres": ("data", 1),
        "redis": ("data", 1),
        "web": ("active", 1),
        "api": ("active", 3),
        "media": ("active", 1),
        "worker": ("active", 1),
    }


def test_units_disks_and_own_probes(shop):
    inside, _outside, _found = shop
    assert inside["certbot.timer"]["max_age"] == 90000
    assert {"nginx.service", "disk /", "memory", "mine", "last backup", "slipway-backup@shop.timer"} <= set(inside)
    assert inside["last backup of files"]["kind"] == "files"
    assert "fail_hours" not in inside["last backup of redis"], "the host's own timers say it"
    assert inside["slipway-backup-check@shop.timer"]["enabled"]
    assert inside["last drill"]["type"] == "restore_age" and inside["slipway-drill@shop.timer"]["enabled"]
    assert "slipway-backup-redis@shop.timer" in inside


def test_from_outside_the_sites_answer_and_the_databases_do_not(shop):
    _inside, outside, _found = shop
    assert outside["outside: https://api.shop.test/ready"]["address"] == "10.0.0.7"
    closed = [probe for probe in outside.values() if probe["type"] == "tcp"]
    assert [(probe["target"], probe["open"]) for probe in closed] == [
        ("10.0.0.7:5432", False),
        ("10.0.0.7:6379", False),
    ]


def test_from_outside_each_name_is_asked_for_unless_an_address_is_given(shop):
    _inside, outside, _found = shop
    assert [probe for probe in outside.values() if probe["type"] == "dns"] == []
    found = derive({"stack_domain": "shop.test", "stack_routes": [{"name": "web", "service": "web", "port": 80}]})
    assert [probe["target"] for probe in found["outside"] if probe["type"] == "dns"] == ["shop.test"]


def test_the_curl_line_can_be_pasted(shop):
    assert shop[2]["sites"][0][2] == (
        "curl --cacert 'ca file.pem' --resolve shop.test:443:10.0.0.7 https://shop.test/health"
    )


def test_an_external_database_is_asked_at_its_own_host():
    database = {"host": "db.example.org", "port": 5433, "name": "shop", "user": "u", "sslmode": "verify-full"}
    database["ca_cert"] = "/etc/ssl/provider.pem"
    found = derive({"stack_name": "shop", "stack_database": database})
    probe = found["inside"][0]
    assert (probe["target"], probe["login_port"], probe["ssl_mode"]) == ("db.example.org", 5433, "verify-full")
    assert probe["ca_cert"] == "/etc/ssl/provider.pem"
    assert "login_container" not in probe
    assert found["outside"] == []


def test_a_host_without_a_stack_still_has_its_own_probes():
    found = derive({"health_disks": ["/"], "health_units": ["ssh.service"]})
    assert [probe["name"] for probe in found["inside"]] == ["ssh.service", "disk /", "memory"]
    assert found["sites"] == []
