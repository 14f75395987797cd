# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whoever signs up is served within a minute, or it is told why not; and nobody else notices."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from typing import Any

import pytest
from slipway_lab import Visitor

REGISTRY: dict[str, Any] = {"tenants_source": "registry", "tenants_list": []}
TIMER = "slipway-tenants@shop.timer"
SITES = "/etc/nginx/slipway/sites/sign-ups-shop.conf"
COLOUR = {"name": "0003_colour.sql", "sql": "ALTER TABLE products ADD COLUMN colour text"}
# Leads to a machine that is not ours.
ELSEWHERE = "elsewhere.test"
GUESTS = ("north", "south", "west", "api")


def gone(*slugs: str) -> list[dict[str, Any]]:
    return [{"slug": slug, "state": "absent", "force": True, "export": False} for slug in slugs]


@pytest.fixture(scope="module", autouse=True)
def as_before(tenants: Any) -> Iterator[None]:
    """Begin and end with the inventory's three tenants and nothing of anybody who signed up."""
    names = [tenants.host(guest) for guest in GUESTS]  # `api` is the stack's own and leads here anyway
    tenants.lead_here(*names, "books-north.test", "books-south.test")
    yield
    tenants.sql("DELETE FROM slipway.tenant_migrations WHERE template > '0003'")
    tenants.sql("".join(f"ALTER TABLE {schema}.products DROP COLUMN IF EXISTS colour;" for schema in schemas(tenants)))
    assert schemas(tenants) == ["tenant_alpha", "tenant_bravo", "tenant_charlie"]


def schemas(tenants: Any) -> list[str]:
    return list(tenants.sql("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'tenant\\_%' ORDER BY 1"))


def note(tenants: Any) -> dict[str, Any]:
    return dict(json.loads(tenants.server.vps.check_output("cat /var/lib/slipway/tenants/shop.json")))


def test_the_tenants_of_the_list_stay_on_line_while_the_registry_takes_over(tenants: Any) -> None:
    with Visitor(tenants.web, tenants.host("alpha")) as visitor:
        tenants.playbook("tenants", **REGISTRY)
    assert visitor.asked > 50
    assert visitor.bad == []
    vps = tenants.server.vps
    assert vps.check_output(f"systemctl is-enabled {TIMER}") == "enabled"
    assert vps.check_output(f"systemctl is-active {TIMER}") == "active"
    assert vps.check_output("stat --format=%a /etc/slipway/tenants/shop.json") == "600"
    sites = [site for site in note(tenants)["sites"] if site.startswith("tenant-")]
    assert sorted(sites) == ["tenant-shop-alpha", "tenant-shop-bravo", "tenant-shop-charlie"]
    again = tenants.playbook("tenants", **REGISTRY)
    assert again.changed == {tenants.server.name: 0}, again.changed_tasks()


def test_a_sign_up_is_served_within_a_minute(tenants: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """By nobody but the timer."""
    hosts = (tenants.host("north"), "books-north.test")
    assert not any(tenants.is_served(host) for host in hosts)
    tenants.sign_up("north", "books-north.test")
    seconds = tenants.within_a_minute(lambda: all(tenants.is_served(host) for host in hosts))
    with capsys.disabled():
        print(f"\nA sign-up was served after {seconds:.0f} s.")
    for host in hosts:
        assert host in [name for kind, name in tenants.web.certificate(host)["subjectAltName"] if kind == "DNS"]
    made = tenants.web.ask(hosts[1], "/products", method="POST", body={"name": "lamp", "price_cents": 900})
    assert made.status == 201, made.text
    assert tenants.web.products(hosts[0]) == ["lamp"]
    assert tenants.web.products(tenants.host("alpha")).count("lamp") == 0
    events = tenants.sql("SELECT actions ->> 0 FROM slipway.tenant_events WHERE slug = 'north'")
    assert len(events) == 1
    assert tenants.problems() == {}


def test_who_cannot_be_served_holds_up_nobody_and_is_told_why(tenants: Any) -> None:
    tenants.sign_up("south", ELSEWHERE)
    tenants.sign_up("api")
    tenants.sign_up("Pg_Catalog")
    tenants.within_a_minute(lambda: len(tenants.problems()) == 3)
    reasons = tenants.problems()
    assert "points to 10.77.0.99, and not to" in reasons["south"]
    assert f"Create a CNAME record for it that names {tenants.host('south')}" in reasons["south"]
    assert f"The host name api.{tenants.server.zone} belongs to the stack itself" in reasons["api"]
    assert "is not allowed" in reasons["Pg_Catalog"]
    assert tenants.is_served(tenants.host("south"))
    assert tenants.web.ask(f"api.{tenants.server.zone}", "/ready").status == 200
    # Nobody who signs up makes a playbook fail; it tells all the same.
    play = tenants.playbook("health", **REGISTRY)
    said = " ".join(play.output.split())
    assert "sign-ups" in said and "(2 more)" in said and "slipway tenants reconcile shop --now" in said
    done = tenants.server.vps.run("slipway tenants reconcile shop --now")
    assert done.rc == 2
    assert done.stderr.count("cannot be served since") == 3


def test_a_mended_row_is_served_at_once_and_its_reason_is_settled(tenants: Any) -> None:
    tenants.sql("DELETE FROM public.tenants WHERE subdomain IN ('api', 'Pg_Catalog')")
    tenants.sql("UPDATE public.tenants SET custom_domain = 'books-south.test' WHERE subdomain = 'south'")
    done = tenants.server.vps.run("slipway tenants reconcile shop")
    assert (done.rc, "cannot be served" in done.stderr) == (0, False)
    assert tenants.is_served("books-south.test")
    assert tenants.problems() == {}
    assert note(tenants)["problems"] == []


@pytest.mark.long
def test_one_that_signed_up_is_suspended_by_the_list_and_comes_back(tenants: Any) -> None:
    north = tenants.host("north")
    listed = {"slug": "north", "custom_domain": "books-north.test"}
    suspended = [{**listed, "state": "suspended"}]
    tenants.playbook("tenants", **REGISTRY | {"tenants_list": suspended, "tenants_suspended_status": 402})
    for host in (north, "books-north.test"):
        assert tenants.web.ask(host, "/products").status == 402
    # The site of the list has the certificate that the timer had obtained; Nginx can still read all of its files.
    tenants.server.vps.check_output("nginx -t -q && systemctl reload nginx")
    # Without its line it would stay suspended: whoever was put out does not come back by being forgotten.
    for variables in (REGISTRY | {"tenants_list": [listed]}, REGISTRY):
        tenants.playbook("tenants", **variables)
        tenants.server.vps.check_output("nginx -t -q && systemctl reload nginx")
        for host in (north, "books-north.test"):
            assert tenants.web.products(host) == ["lamp"]


def test_who_signs_up_after_a_release_has_its_templates(tenants: Any) -> None:
    released = {"stack_release": "1.0.1", "tenants_templates": [COLOUR], "stack_observe": 1, "stack_drain_websocket": 2}
    tenants.playbook("deploy", **REGISTRY | released)
    tenants.sign_up("west")
    assert tenants.server.vps.run("slipway tenants reconcile shop").rc == 0
    having = "SELECT table_schema FROM information_schema.columns WHERE column_name = 'colour' ORDER BY 1"
    assert tenants.sql(having) == [f"tenant_{slug}" for slug in ("alpha", "bravo", "charlie", "north", "south", "west")]
    assert tenants.is_served(tenants.host("west"))


def test_a_row_that_goes_takes_its_host_name_along_and_leaves_the_data(tenants: Any) -> None:
    tenants.sql("DELETE FROM public.tenants WHERE subdomain = 'west'")
    assert tenants.server.vps.run("slipway tenants reconcile shop").rc == 0
    with pytest.raises((ssl.SSLError, ConnectionError)):
        tenants.web.ask(tenants.host("west"))
    assert not tenants.server.vps.file("/etc/letsencrypt/renewal/tenant-shop-west.conf").exists
    assert "tenant_west" in schemas(tenants)


def test_back_to_the_list_nothing_of_the_sign_ups_is_left(tenants: Any) -> None:
    with Visitor(tenants.web, tenants.host("alpha")) as visitor:
        tenants.playbook("tenants", tenants_list=tenants.listed(*gone(*GUESTS)))
    assert visitor.bad == []
    vps = tenants.server.vps
    assert vps.run(f"systemctl is-enabled {TIMER}").stdout.strip() == "disabled"
    assert vps.run(f"systemctl is-active {TIMER}").stdout.strip() == "inactive"
    assert not vps.file(SITES).exists
    certificates = vps.check_output("ls /etc/letsencrypt/renewal").split()
    assert not [name for name in certificates if any(guest in name for guest in GUESTS)]
    assert schemas(tenants) == ["tenant_alpha", "tenant_bravo", "tenant_charlie"]
