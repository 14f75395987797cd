# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The export of one tenant, made of a real database and put into a real bucket."""

from __future__ import annotations

import hashlib
import json
import subprocess

import pytest

from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError
from ansible_collections.slipway.vps.plugins.module_utils.common.events import Emitter
from ansible_collections.slipway.vps.plugins.module_utils.tenancy import export

SECRET = "a line that is only in bravo"
# A name that would end a quoted body, and a cast that its owner would like a superuser to run.
ODD = "it's $$ odd %s {x}"


def fill(shop):
    shop.converge({"slug": "alpha", "plan": "pro"}, "bravo")
    shop.query("INSERT INTO tenant_alpha.products (name) SELECT 'thing ' || i FROM generate_series(1, 500) i")
    shop.query(f"INSERT INTO tenant_bravo.products (name) VALUES ('{SECRET}')")  # noqa: S608 - our own text
    shop.query(f'CREATE TABLE tenant_alpha."{ODD}" (t text, at timestamptz, amount float8, body bytea)')
    shop.query(
        f"""INSERT INTO tenant_alpha."{ODD}" (t, at, amount, body) SELECT 'a', '2026-01-01 00:00+02', 0.1, '\\x00ff'"""
        f"""; INSERT INTO tenant_alpha."{ODD}" DEFAULT VALUES"""
    )


def test_an_export_holds_one_tenant_with_its_manifest_and_nothing_of_the_others(host):
    fill(host.shop)
    made = export.run(host.request("alpha"), Emitter.null())["export"]
    assert made["verified"] is True
    assert made["tables"] == {"tenant_alpha.products": 500, f"tenant_alpha.{ODD}": 2}
    tenant = made["details"]["tenant"]
    assert (tenant["slug"], tenant["schema"], tenant["plan"]) == ("alpha", "tenant_alpha", "pro")
    assert list(tenant["templates"]) == ["0001_init.sql"]
    assert tenant["row"]["subdomain"] == "alpha"

    place = host.place / "copies" / "tenant" / "alpha" / made["id"]
    assert (place.stat().st_mode & 0o777, (place / "manifest.json").stat().st_mode & 0o777) == (0o700, 0o600)
    assert json.loads((place / "manifest.json").read_text())["contents"] == made["contents"]
    dump = subprocess.run(
        ["zstd", "--decompress", "--stdout", str(place / "tenant.dump.zst")], check=True, capture_output=True
    ).stdout
    assert hashlib.sha256(dump).hexdigest() == made["contents"]["database"]["sha256"]
    assert b"thing 500" in dump
    assert SECRET.encode() not in dump
    assert made["places"][0] == f"s3://backups/test/{host.stack}/tenant/alpha/{made['id']}"
    assert len(export.listing(host.request("alpha"))) == 1
    assert export.listing(host.request("alpha"))[0].copies == {"s3": True, "local": True}


def test_the_checksums_are_of_the_rows_and_not_of_their_order(host):
    fill(host.shop)
    first = export.run(host.request("alpha"), Emitter.null())["export"]["details"]["content"]
    host.shop.query("UPDATE tenant_alpha.products SET name = name WHERE id % 3 = 0")
    host.shop.query(f"ALTER DATABASE {host.shop.database} SET timezone = 'Asia/Tokyo'")
    assert export.run(host.request("alpha"), Emitter.null())["export"]["details"]["content"] == first
    host.shop.query("UPDATE tenant_alpha.products SET name = 'other' WHERE id = 7")
    last = export.run(host.request("alpha"), Emitter.null())["export"]["details"]["content"]
    assert last["tables"] == first["tables"]
    assert last["checksums"]["products"] != first["checksums"]["products"]
    assert last["checksums"][ODD] == first["checksums"][ODD]


def test_nothing_of_the_tenant_runs_while_it_is_read(host):
    """The owner of a table may define casts of its rows; a checksum by such a cast would run them as a superuser."""
    fill(host.shop)
    role = f"{host.shop.prefix}alpha"
    host.shop.query(
        f"SET ROLE {role};"
        "CREATE FUNCTION tenant_alpha.trap(tenant_alpha.products) RETURNS text LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'the trap ran as %', current_user; END $$;"
        "CREATE CAST (tenant_alpha.products AS text) WITH FUNCTION tenant_alpha.trap(tenant_alpha.products);"
        "CREATE FUNCTION tenant_alpha.md5(text) RETURNS text LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'the trap ran as %', current_user; END $$"
    )
    assert export.run(host.request("alpha"), Emitter.null())["export"]["tables"]["tenant_alpha.products"] == 500


def test_an_export_that_fails_leaves_nothing(host):
    fill(host.shop)
    with pytest.raises(SlipwayError, match="There is no tenant nobody"):
        export.run(host.request("nobody"), Emitter.null())
    host.shop.query("DROP SCHEMA tenant_alpha CASCADE")
    with pytest.raises(SlipwayError, match="schema tenant_alpha of tenant alpha does not exist"):
        export.run(host.request("alpha"), Emitter.null())
    assert export.listing(host.request("alpha")) == []
    with pytest.raises(SlipwayError, match=r"slug '\.\./x' is not allowed"):
        export.run(host.request("../x"), Emitter.null())


def test_check_mode_reads_only(host):
    fill(host.shop)
    planned = export.plan(host.request("alpha"))["export"]
    assert (planned["schema"], planned["exports"], planned["encrypted"]) == ("tenant_alpha", 0, False)
    assert not (host.place / "copies").exists()
