# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys

import pytest

from ansible_collections.slipway.vps.plugins.module_utils.backup import spec
from ansible_collections.slipway.vps.plugins.module_utils.common.events import Emitter
from ansible_collections.slipway.vps.plugins.module_utils.tenancy import engine
from ansible_collections.slipway.vps.tests.unit.backup.conftest import s3
from ansible_collections.slipway.vps.tests.unit.postgres_server import database, postgres

__all__ = ["Host", "Shop", "bare_shop", "database", "host", "postgres", "s3", "shop", "state"]

PACKAGE = "ansible_collections.slipway.vps.plugins.module_utils"
BACKUP = f"{PACKAGE}.backup"

APPLICATION_PASSWORD = "application-secret"
PRODUCTS = {"name": "0001_init.sql", "sql": "CREATE TABLE products (id serial PRIMARY KEY, name text NOT NULL);"}

# What the team's own migration makes.
REGISTRY = """
CREATE TABLE public.plans (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), name text NOT NULL UNIQUE);
CREATE TABLE public.tenants (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(), subdomain text NOT NULL UNIQUE, custom_domain text UNIQUE,
    plan_id uuid REFERENCES public.plans (id), created_at timestamptz NOT NULL DEFAULT now());
INSERT INTO public.plans (name) VALUES ('free'), ('pro');
"""
_numbers = itertools.count(1)


class Shop:
    """A database with the team's registry, an application role, and names that no other test uses."""

    def __init__(self, server, name, registry=REGISTRY):
        self.server = server
        self.database = name
        self.prefix = f"t{next(_numbers)}_"  # roles belong to the whole server
        self.application = f"{self.prefix}app"
        server.query(f"CREATE ROLE {self.application} LOGIN PASSWORD '{APPLICATION_PASSWORD}'")
        if registry:
            self.query(registry)

    def request(self, *tenants, **more):
        entries = [{"slug": tenant} if isinstance(tenant, str) else tenant for tenant in tenants]
        return {
            **self.server.params(self.database),
            "tenants": entries,
            "role_prefix": self.prefix,
            "application_roles": [self.application],
            "templates": [PRODUCTS],
            **more,
        }

    def converge(self, *tenants, check=False, **more):
        return engine.converge(self.request(*tenants, **more), Emitter.null(), check)

    def query(self, statement, user="", password=APPLICATION_PASSWORD):
        who = {"login_user": user, "login_password": password} if user else {}
        return self.server.query(statement, self.database, **who)


@pytest.fixture
def shop(postgres, database):
    return Shop(postgres, database)


@pytest.fixture
def bare_shop(postgres, database):
    """A database without the registry."""
    return Shop(postgres, database, registry="")


class Host:
    """The shop on a host of its own: state below a directory, exports in the bucket and beside it."""

    def __init__(self, shop, s3, place):
        self.shop = shop
        self.place = place
        self.stack = shop.database.replace("_", "-")
        self.destination = {
            "stack": self.stack,
            "database": shop.server.params(shop.database),
            "s3": s3.options().as_dict(),
            "local_directory": str(place / "copies"),
            "keep": {"s3": {"days": 30}, "local": {"days": 7}},
            "client_directory": str(shop.server.bin),
            "lock_wait": 5.0,
        }

    def request(self, name, **more):
        rules = {key: value for key, value in self.shop.request().items() if key not in ("tenants", "templates")}
        return {"stack": self.stack, "name": name, "settings": rules, "spec": self.destination, **more}


@pytest.fixture
def state(tmp_path, monkeypatch):
    for module in ("spec", "engine", "verify"):
        monkeypatch.setattr(f"{BACKUP}.{module}.STATE_DIRECTORY", tmp_path / "state")
    monkeypatch.setattr(spec, "CONFIG_DIRECTORY", tmp_path / "configuration")
    return tmp_path


@pytest.fixture
def host(shop, s3, state):
    return Host(shop, s3, state)


def killed_at(work, request, events, state, erasures=""):
    """Do the work (`erasure` or `imports`) in a process of its own and kill it once it has told so many events.

    Returns what it had told by then.
    """
    script = f"""
import json, pathlib, sys
from {PACKAGE}.tenancy import erasure, imports
from {PACKAGE}.common.events import Emitter, line
from {PACKAGE}.backup import spec, engine, verify
for one in (spec, engine, verify):
    one.STATE_DIRECTORY = pathlib.Path({str(state / "state")!r})
spec.CONFIG_DIRECTORY = pathlib.Path({str(state / "configuration")!r})
erasure.DIRECTORY = pathlib.Path({str(erasures)!r})
{work}.run(json.load(sys.stdin), Emitter(lambda event: print(line(event), flush=True)))
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", script], env=environment, **pipes) as child:
        child.stdin.write(json.dumps(request))
        child.stdin.close()
        told = [json.loads(text) for text in itertools.islice(child.stdout, events)]
        child.send_signal(signal.SIGKILL)
    return told
