# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The whole life of a tenant as the command on the host and a managed server see it."""

from __future__ import annotations

import json
import subprocess
import threading
import time

import pytest

from ansible_collections.slipway.vps.plugins.module_utils.agent import cli
from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError
from ansible_collections.slipway.vps.plugins.module_utils.common.events import Emitter
from ansible_collections.slipway.vps.plugins.module_utils.tenancy import (
    configuration,
    erasure,
    export,
    imports,
    parameters,
    rename,
    target,
)

from .conftest import APPLICATION_PASSWORD, killed_at
from .test_export import fill

# Rows that take long enough to read for a kill to come in between.
MANY = 50_000


@pytest.fixture
def installed(host, monkeypatch, tmp_path):
    """What the roles tenants and backup leave on a host."""
    monkeypatch.setattr(configuration, "DIRECTORY", tmp_path / "tenants")
    monkeypatch.setattr(erasure, "DIRECTORY", tmp_path / "erasures")
    for name, data in (("tenants", host.request("x")["settings"]), ("configuration", host.destination)):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{host.stack}.json").write_text(json.dumps(data))
    fill(host.shop)
    return host


def slipway(*words):
    return cli.main(["tenants", *words])


def test_the_command_on_the_host(installed, capsys):
    stack = installed.stack
    assert slipway("export", stack, "alpha") == 0
    assert f"s3://backups/test/{stack}/tenant/alpha/" in capsys.readouterr().out
    assert slipway("exports", stack, "alpha") == 0
    assert "local+s3" in capsys.readouterr().out
    assert slipway("import", stack, "copy", "--from-name", "alpha") == 0
    assert "502 rows in 2 tables of tenant_copy" in capsys.readouterr().out
    assert slipway("import", stack, "copy", "--from-name", "alpha") == 1
    assert "does not overwrite it unasked" in capsys.readouterr().err
    assert slipway("rename", stack, "copy", "trial") == 0
    assert "rename schema tenant_copy to tenant_trial" in capsys.readouterr().out
    assert slipway("rename", stack, "copy", "trial") == 0
    assert "Nothing is left to rename" in capsys.readouterr().out
    assert slipway("erase", stack, "trial", "--check") == 0
    assert json.loads(capsys.readouterr().out)["rows"] == 502
    assert slipway("erase", stack, "trial") == 1
    assert "--confirm trial" in capsys.readouterr().err
    assert slipway("erase", stack, "trial", "--confirm", "trial", "--no-export", "--reason", "over") == 0
    capsys.readouterr()
    assert slipway("erase", stack, "trial", "--confirm", "trial") == 0
    assert "was erased at" in capsys.readouterr().out
    # The application's rights came from the file that the role installed.
    rows = installed.shop.query("SELECT count(*) FROM tenant_alpha.products", user=installed.shop.application)
    assert rows == [(500,)]


def test_a_directory_is_encrypted_as_the_backups_are_or_for_whom_it_is_meant(installed, tmp_path):
    keys = [subprocess.run(["age-keygen"], check=True, capture_output=True, text=True).stdout for _key in range(2)]
    public = [key.split("public key: ")[1].splitlines()[0] for key in keys]
    (tmp_path / "identity").write_text(keys[1])
    configured = {**installed.destination, "encryption": {"recipients": [public[0]]}}
    (tmp_path / "configuration" / f"{installed.stack}.json").write_text(json.dumps(configured))
    place = str(tmp_path / "handover")
    assert target.in_directory(installed.stack, place)["encryption"]["recipients"] == [public[0]]
    assert slipway("export", installed.stack, "alpha", "--directory", place, "--recipient", public[1]) == 0
    (made,) = (tmp_path / "handover/tenant/alpha").iterdir()
    assert b"thing 500" not in (made / "tenant.dump.zst.age").read_bytes()
    words = ("import", installed.stack, "copy", "--from-name", "alpha", "--directory", place)
    assert slipway(*words) == 1
    assert slipway(*words, "--identity-file", str(tmp_path / "identity")) == 0
    assert installed.shop.query("SELECT count(*) FROM tenant_copy.products") == [(500,)]


def test_the_modules_ask_with_what_they_were_given():
    params = {"stack": "shop", "name": "alpha", "login_host": "", "login_user": "postgres", "application_roles": ["a"]}
    assert parameters.request(params) == {"stack": "shop", "name": "alpha", "settings": {"application_roles": ["a"]}}
    with_server = parameters.request({**params, "login_host": "db.example.org", "confirm": "alpha"}, "confirm")
    assert with_server["settings"]["login_host"] == "db.example.org"
    assert with_server["confirm"] == "alpha"


def test_without_a_superuser(host, monkeypatch, tmp_path):
    """As on a managed server: a role that owns the database and may create roles."""
    monkeypatch.setattr(erasure, "DIRECTORY", tmp_path / "erasures")
    shop = host.shop
    owner = f"{shop.prefix}owner"
    shop.query(f"CREATE ROLE {owner} LOGIN CREATEROLE CREATEDB PASSWORD '{APPLICATION_PASSWORD}'")
    shop.query(f"ALTER DATABASE {shop.database} OWNER TO {owner}")
    shop.query(f"ALTER TABLE public.tenants OWNER TO {owner}; ALTER TABLE public.plans OWNER TO {owner}")
    who = {"login_user": owner, "login_password": APPLICATION_PASSWORD}
    shop.converge("alpha", "bravo", **who)
    shop.query("INSERT INTO tenant_alpha.products (name) VALUES ('kept')", user=shop.application)

    def request(name, **more):
        asked = host.request(name, **more)
        return {**asked, "settings": {**asked["settings"], **who}}

    assert export.run(request("alpha"), Emitter.null())["export"]["tables"] == {"tenant_alpha.products": 1}
    told = imports.run(request("copy", from_name="alpha"), Emitter.null())["import"]
    assert (told["rows"], told["schema"]) == (1, "tenant_copy")
    rename.run({**shop.server.params(shop.database, **who), "name": "copy", "new_name": "trial"})
    assert shop.query("SELECT name FROM tenant_trial.products", user=shop.application) == [("kept",)]
    gone = erasure.run(request("trial", confirm="trial"), Emitter.null())["erasure"]
    assert (gone["rows"], gone["erased_by"]["database_user"]) == (1, owner)
    assert shop.converge("alpha", "bravo", **who)["changed"] is False


def test_two_imports_of_one_tenant_at_once_make_it_once(host):
    fill(host.shop)
    export.run(host.request("alpha"), Emitter.null())
    errors = []

    def work():
        try:
            imports.run(host.request("copy", from_name="alpha"), Emitter.null())
        except SlipwayError as error:
            errors.append(str(error))

    both = [threading.Thread(target=work) for _one in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join()
    assert len(errors) == 1, errors
    assert host.shop.query("SELECT count(*) FROM tenant_copy.products") == [(500,)]


@pytest.mark.slow
@pytest.mark.parametrize(
    "events", [1, 4, 12, 23, *(pytest.param(number, marks=pytest.mark.long) for number in (2, 3, 8, 16, 20, 22))]
)
def test_a_killed_import_leaves_nothing_and_the_next_one_works(host, events):
    fill(host.shop)
    host.shop.query(
        f"INSERT INTO tenant_alpha.products (name) SELECT md5(i::text) FROM generate_series(1, {MANY}) i"  # noqa: S608 - our own number
    )
    export.run(host.request("alpha"), Emitter.null())
    request = host.request("copy", from_name="alpha")
    told = killed_at("imports", request, events, host.place)
    assert told[0]["phase"] == "preflight"
    # psql may still be reading what was in the pipe; without COMMIT it ends with nothing done.
    end = time.monotonic() + 30
    while host.shop.query("SELECT 1 FROM pg_stat_activity WHERE application_name LIKE 'slipway import%'"):
        assert time.monotonic() < end
        time.sleep(0.2)
    schemas = {name for (name,) in host.shop.query("SELECT nspname FROM pg_namespace")}
    assert "tenant_alpha" in schemas and "slipway_lent" not in schemas
    if "tenant_copy" not in schemas:
        assert host.shop.query("SELECT count(*) FROM slipway.tenants WHERE slug = 'copy'") == [(0,)]
        imports.run(request, Emitter.null())
    assert host.shop.query("SELECT count(*) FROM tenant_copy.products") == [(MANY + 500,)]
    assert host.shop.query("SELECT count(*) FROM tenant_alpha.products") == [(MANY + 500,)]
