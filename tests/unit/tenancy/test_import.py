# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A tenant made of an export: the same, or not at all."""

from __future__ import annotations

import json

import psycopg2
import pytest

from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError
from ansible_collections.slipway.vps.plugins.module_utils.common.events import Emitter
from ansible_collections.slipway.vps.plugins.module_utils.tenancy import export, imports

from .conftest import Host, Shop
from .test_export import ODD, fill

# What refers to itself by name, to shared things, and to each other.
STRUCTURE = """
CREATE TYPE mood AS ENUM ('good', 'bad');
CREATE TABLE orders (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, product_id int REFERENCES products, mood mood DEFAULT 'good',
    plan uuid REFERENCES public.plans, total numeric(10, 2) CHECK (total >= 0),
    twice numeric GENERATED ALWAYS AS (total * 2) STORED);
CREATE INDEX orders_product ON orders (product_id);
CREATE VIEW cheap AS SELECT * FROM orders WHERE total < 10;
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.total := NEW.total; RETURN NEW; END $$;
CREATE TRIGGER touch BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION touch();
INSERT INTO orders (product_id, total) SELECT i, i FROM generate_series(1, 100) i;
"""


def prepared(host):
    fill(host.shop)
    role = f"{host.shop.prefix}alpha"
    host.shop.query(f"GRANT REFERENCES ON public.plans TO {role}")
    host.shop.query(f"SET ROLE {role}; SET search_path = tenant_alpha, public; {STRUCTURE}")
    return export.run(host.request("alpha"), Emitter.null())["export"]


def rows_of(host, slug):
    return host.shop.query(
        f'SELECT (SELECT count(*) FROM tenant_{slug}.products), (SELECT count(*) FROM tenant_{slug}."{ODD}"),'  # noqa: S608 - our own names
        f" (SELECT sum(twice) FROM tenant_{slug}.orders)"
    )[0]


def test_a_copy_under_another_name_beside_its_living_original(host):
    made = prepared(host)
    role = f"{host.shop.prefix}copy"
    with pytest.raises(SlipwayError, match="permission denied for table plans"):
        imports.run(host.request("copy", from_name="alpha"), Emitter.null())
    assert (role,) not in host.shop.query("SELECT rolname FROM pg_roles")
    assert host.shop.query("SELECT count(*) FROM slipway.tenants WHERE slug = 'copy'") == [(0,)]

    host.shop.query("GRANT REFERENCES ON public.plans TO PUBLIC")
    result = imports.run(host.request("copy", from_name="alpha"), Emitter.null())
    assert result["warnings"] == []
    told = result["import"]
    assert (told["id"], told["schema"], told["role"], told["before"]) == (made["id"], "tenant_copy", role, None)
    assert rows_of(host, "copy") == rows_of(host, "alpha") == (500, 2, 10100)
    owners = host.shop.query(
        "SELECT DISTINCT pg_get_userbyid(relowner) FROM pg_class WHERE relnamespace = 'tenant_copy'::regnamespace"
    )
    assert owners == [(role,)]
    # The original is what it was, and neither leans on the other.
    host.shop.query("DROP SCHEMA tenant_alpha CASCADE")
    assert rows_of(host, "copy") == (500, 2, 10100)
    host.shop.query("INSERT INTO tenant_copy.products (name) VALUES ('next')")
    again = host.shop.converge({"slug": "copy"})
    assert again["tenants"][0]["actions"] == []
    events = host.shop.query("SELECT actions ->> 0 FROM slipway.tenant_events WHERE slug = 'copy'")
    assert events == [(f"import export {made['id']} of tenant alpha of stack {host.stack}",)]


def test_into_another_stack_with_its_domains_its_id_and_the_right_to_log_in(host, postgres, state, s3):
    made = prepared(host)
    other = Host(Shop(postgres, postgres.new_database()), s3, state)
    other.shop.query("GRANT REFERENCES ON public.plans TO PUBLIC")
    request = other.request("alpha", from_stack=host.stack, login=True, password="new-secret")
    planned = imports.plan(request)["import"]
    assert planned["rows"] == sum(made["tables"].values())
    assert other.shop.query("SELECT count(*) FROM pg_namespace WHERE nspname = 'tenant_alpha'") == [(0,)]
    imports.run(request, Emitter.null())
    ids = "SELECT id::text, subdomain FROM public.tenants WHERE subdomain = 'alpha'"
    assert other.shop.query(ids) == host.shop.query(ids) != []
    login = {"user": f"{other.shop.prefix}alpha", "password": "new-secret"}
    assert other.shop.query("SELECT count(*) FROM products", **login) == [(500,)]
    assert other.shop.query("SELECT count(*) FROM tenant_alpha.products", user=other.shop.application) == [(500,)]
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        other.shop.query("ALTER TABLE tenant_alpha.products ADD x int", user=other.shop.application)
    assert other.shop.converge({"slug": "alpha", "login": True, "password": "new-secret"})["changed"] is False


def test_a_living_tenant_is_overwritten_only_when_asked_and_kept_beside(host):
    prepared(host)
    host.shop.query("DELETE FROM tenant_alpha.orders; UPDATE tenant_alpha.products SET name = 'wrong'")
    with pytest.raises(SlipwayError, match="does not overwrite it unasked"):
        imports.run(host.request("alpha"), Emitter.null())
    told = imports.run(host.request("alpha", replace=True), Emitter.null())["import"]
    assert told["before"].startswith("tenant_alpha_before_")
    assert rows_of(host, "alpha") == (500, 2, 10100)
    assert host.shop.query(f"SELECT DISTINCT name FROM {told['before']}.products") == [("wrong",)]  # noqa: S608 - our own name
    assert host.shop.converge({"slug": "alpha", "plan": "pro"})["changed"] is False


def test_an_import_that_does_not_equal_its_manifest_changes_nothing(host):
    """The manifest is the stored one but for one checksum: the dump does not hold what it says."""
    prepared(host)
    host.shop.query("GRANT REFERENCES ON public.plans TO PUBLIC")
    place = next((host.place / "copies/tenant/alpha").iterdir())
    known = json.loads((place / "manifest.json").read_text())
    known["details"]["content"]["checksums"]["products"] = "1:2"
    (place / "manifest.json").write_text(json.dumps(known))
    request = host.request("copy", from_name="alpha")
    request["spec"] = {**request["spec"], "s3": {}}
    with pytest.raises(SlipwayError, match="does not equal the manifest: products has 500 rows with checksum"):
        imports.run(request, Emitter.null())
    names = {name for (name,) in host.shop.query("SELECT nspname FROM pg_namespace")}
    assert not names & {"tenant_copy", "slipway_lent"}
    assert rows_of(host, "alpha") == (500, 2, 10100)


def test_a_damaged_export_is_never_live(host):
    prepared(host)
    host.shop.query("GRANT REFERENCES ON public.plans TO PUBLIC")
    dump = next((host.place / "copies/tenant/alpha").iterdir()) / "tenant.dump.zst"
    data = bytearray(dump.read_bytes())
    data[len(data) // 2] ^= 1
    dump.write_bytes(data)
    request = host.request("copy", from_name="alpha")
    request["spec"] = {**request["spec"], "s3": {}}
    with pytest.raises(SlipwayError, match="was not imported, and nothing was changed"):
        imports.run(request, Emitter.null())
    assert host.shop.query("SELECT count(*) FROM pg_namespace WHERE nspname = 'tenant_copy'") == [(0,)]


def test_functions_that_name_the_old_schema_are_told(host):
    prepared(host)
    host.shop.query("GRANT REFERENCES ON public.plans TO PUBLIC")
    host.shop.query(
        "CREATE FUNCTION tenant_alpha.total() RETURNS bigint LANGUAGE sql AS"
        " 'SELECT count(*) FROM tenant_alpha.products'"
    )
    made = export.run(host.request("alpha"), Emitter.null())["export"]
    (warning,) = imports.run(host.request("copy", from_name="alpha", id=made["id"]), Emitter.null())["warnings"]
    assert "total" in warning and "tenant_alpha" in warning


def test_what_does_not_exist_is_said(host):
    fill(host.shop)
    with pytest.raises(SlipwayError, match="no export of a tenant alpha"):
        imports.run(host.request("copy", from_name="alpha"), Emitter.null())
    export.run(host.request("alpha"), Emitter.null())
    with pytest.raises(SlipwayError, match=f"slipway tenants exports {host.stack} alpha"):
        imports.run(host.request("copy", from_name="alpha", id="20200101T000000Z-aaaaaa"), Emitter.null())


def test_a_newer_client_sets_nothing_that_the_server_does_not_know():
    preamble = b"--\n\nSET lock_timeout = 0;\nSET transaction_timeout = 0;\nSET client_encoding = 'UTF8';\n"
    body = b"COPY a.t FROM stdin;\nx\nSET transaction_timeout = 0;\n\\.\n"
    pieces = [preamble[:30], preamble[30:] + body[:10], body[10:]]
    assert b"".join(imports.understood(pieces, 170002)) == preamble + body
    older = preamble.replace(b"SET transaction_timeout = 0;\n", b"")
    assert b"".join(imports.understood(pieces, 150018)) == older + body
    assert b"".join(imports.understood([older, body], 150018)) == older + body
