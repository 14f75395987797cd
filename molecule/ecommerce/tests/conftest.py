# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# ruff: noqa: S608 - every name here is our own
"""The shop's tenants: what the playbooks are told of them, and what the database and the DNS say."""

from __future__ import annotations

import json
import os
import time
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest
from slipway_lab import Play
from slipway_system import System

# The server of names that the lab's certificate authority and hosts ask.
RECORDS = "http://10.77.0.6:8055"
SLUGS = ("alpha", "bravo", "charlie")
# The timer looks every 30 s, with an accuracy of 5 s, and two certificates have to be obtained.
A_MINUTE = 60


class Tenants:
    """Playbooks for the tenants of one server, and a look at them."""

    def __init__(self, server: System) -> None:
        self.server = server
        self.web = server.web

    def host(self, slug: str) -> str:
        return f"{slug}.{self.server.zone}"

    def listed(self, *more: dict[str, Any], without: str = "") -> list[dict[str, Any]]:
        """Those of the inventory, but for one, and more."""
        return [*({"slug": slug} for slug in SLUGS if slug != without), *more]

    def play(self, name: str, **variables: Any) -> Play:
        return self.server.with_variables(name, **variables)

    def playbook(self, name: str, **variables: Any) -> Play:
        return self.server.playbook(name, "--extra-vars", json.dumps(variables))

    def sql(self, statement: str) -> list[str]:
        """What the application's own user is answered, a line each."""
        command = "docker exec shop-data-postgres-1 psql --username shop --dbname shop --no-align --tuples-only --quiet"
        return str(self.server.vps.check_output(f"{command} --command %s", statement)).splitlines()

    def sign_up(self, subdomain: str, custom_domain: str = "") -> None:
        own = f"'{custom_domain}'" if custom_domain else "NULL"
        plan = "SELECT id FROM public.plans WHERE name = 'free'"
        self.sql(
            f"INSERT INTO public.tenants (subdomain, custom_domain, plan_id) VALUES ('{subdomain}', {own}, ({plan}))"
        )

    def problems(self) -> dict[str, str]:
        lines = self.sql("SELECT name || '|' || reason FROM slipway.tenant_problems")
        return dict(line.split("|", 1) for line in lines)

    def lead_here(self, *names: str) -> None:
        """Let names of the zone `test` have this server's address."""
        for name in names:
            body = json.dumps({"host": f"{name}.", "addresses": [self.server.address]}).encode()
            for verb in ("clear-a", "add-a"):
                urllib.request.urlopen(urllib.request.Request(f"{RECORDS}/{verb}", data=body), timeout=5).close()

    def is_served(self, host: str) -> bool:
        """By HTTPS, with a certificate for this name."""
        try:
            return bool(self.web.ask(host, "/products").status == 200)
        except OSError:
            return False

    def within_a_minute(self, found: Callable[[], bool]) -> float:
        """How long it took."""
        began = time.monotonic()
        while not found():
            assert time.monotonic() - began < A_MINUTE, self.log()
            time.sleep(1)
        return time.monotonic() - began

    def log(self) -> str:
        return str(self.server.vps.run("journalctl --no-pager -u slipway-tenants@shop.service -n 40").stdout)


@pytest.fixture(scope="session")
def server() -> System:
    return System(os.environ["SLIPWAY_HOST"], "ecommerce", "shop-production")


@pytest.fixture(scope="session")
def tenants(server: System) -> Tenants:
    return Tenants(server)
