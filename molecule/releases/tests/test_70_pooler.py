# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The application reaches its tenants through a PgBouncer of its own Compose file."""

from __future__ import annotations

from pathlib import Path

import pytest
from slipway_lab import Play, Server
from slipway_shop import Shop

# Scenario ecommerce has a pooler in every run.
pytestmark = pytest.mark.long

POOLER = {
    "image": "${REGISTRY}/library/pgbouncer:1.24",
    "volumes": ["./pgbouncer:/etc/pgbouncer:ro"],
    "depends_on": {"postgres": {"condition": "service_healthy"}},
    "networks": ["backend"],
    "healthcheck": {
        "test": ["CMD", "pg_isready", "--quiet", "--host", "127.0.0.1", "--port", "6432"],
        "interval": "5s",
        "start_period": "20s",
        "start_interval": "1s",
    },
}
PASSWORD = "pooler-secret-of-the-lab"
FILES = "/srv/shop/files/pgbouncer"


@pytest.fixture(scope="module")
def shop(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    directory: Path = tmp_path_factory.mktemp("pooler")
    made = Shop(server, directory)
    made.compose["services"]["pgbouncer"] = POOLER
    made.environment("api", DATABASE_URL="postgresql://shop:${POSTGRES_PASSWORD}@pgbouncer:6432/shop")
    made.set(
        stack_data_services=["postgres", "redis", "pgbouncer"],
        tenants_pooler_service="pgbouncer",
        tenants_pooler_password=PASSWORD,
        tenants_pooler_owner="70",
    )
    return made


@pytest.fixture(scope="module")
def pooled(shop: Shop) -> Play:
    # A stack that runs already: first the database learns of the pooler, then the application goes through it. The tag
    # leaves out the probes, which miss the pooler until it is released.
    prepared = shop.play("tenants", "--tags", "tenants")
    assert prepared.code == 0, prepared.output[-6000:]
    return shop.deploy("1.1.0")


def addresses(server: Server, container: str) -> set[str]:
    form = "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}"
    return set(server.vps.check_output("docker inspect --format %s %s", form, container).split())


def test_tenants_are_served_through_it(server: Server, shop: Shop, pooled: Play) -> None:
    for slug in ("alpha", "bravo"):
        host = f"{slug}.{server.zone}"
        answer = server.web.ask(host, "/products", method="POST", body={"name": f"pooled {slug}", "price_cents": 1})
        assert answer.status == 201, answer.text
    for slug, other in (("alpha", "bravo"), ("bravo", "alpha")):
        found = server.web.products(f"{slug}.{server.zone}")
        assert f"pooled {slug}" in found
        assert f"pooled {other}" not in found
    clients = set(shop.query("SELECT DISTINCT host(client_addr) FROM pg_stat_activity").split())
    assert clients & addresses(server, "shop-data-pgbouncer-1")
    for container in shop.containers("api"):
        assert not clients & addresses(server, container["Id"])


def test_its_configuration_is_its_users_alone(server: Server, pooled: Play) -> None:
    modes = server.vps.check_output(
        f"stat --format '%a %u' {FILES} {FILES}/pgbouncer.ini {FILES}/userlist.txt"
    ).splitlines()
    assert modes == ["700 70", "600 70", "600 70"]
    assert PASSWORD not in pooled.output


def test_a_setting_is_read_while_it_runs_and_a_second_run_changes_nothing(
    server: Server, shop: Shop, pooled: Play
) -> None:
    started = server.vps.check_output("docker inspect --format '{{.State.StartedAt}}' shop-data-pgbouncer-1")
    changed = shop.play("tenants", tenants_pooler_size=7)
    assert any(task.endswith("tenants : Have the pooler read it again") for task in changed.changed_tasks())
    assert server.vps.check_output("docker inspect --format '{{.State.StartedAt}}' shop-data-pgbouncer-1") == started
    assert server.web.ask(f"alpha.{server.zone}", "/products").status == 200
    again = shop.play("tenants", tenants_pooler_size=7)
    assert (again.code, again.changed) == (0, {server.name: 0}), again.changed_tasks()
