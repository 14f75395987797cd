# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# ruff: noqa: S608 - every name here is our own
"""One tenant's life by playbook: suspended and back, exported, renamed, moved, erased, and imported again."""

from __future__ import annotations

import hashlib
import json
import ssl
from pathlib import Path
from typing import Any

import pytest

PASSWORD = "a-secret-of-bravo"
LOGIN = {"slug": "bravo", "login": True, "password": PASSWORD}
HANDOVER = "/srv/handover"
ERASURES = "/var/lib/slipway/erasures/shop"


def logs_in(tenants: Any, role: str) -> str:
    """What the server says to a tenant that connects itself; empty if it lets it in."""
    connect = f"docker exec --env PGPASSWORD={PASSWORD} shop-data-postgres-1 psql --host 127.0.0.1 --dbname shop"
    done = tenants.server.vps.run(f"{connect} --username {role} --command 'SELECT count(*) FROM products'")
    return "" if done.rc == 0 else str(done.stderr)


@pytest.fixture(scope="module", autouse=True)
def wares(tenants: Any) -> list[str]:
    """Something of bravo's to keep. Its own names lead here."""
    tenants.lead_here(tenants.host("bravo2"), tenants.host("trial"))
    for name in ("ball", "net"):
        body = {"name": name, "price_cents": 700}
        assert tenants.web.ask(tenants.host("bravo"), "/products", method="POST", body=body).status == 201
    return list(tenants.web.products(tenants.host("bravo")))


@pytest.mark.long
def test_a_suspended_tenant_is_told_so_and_gets_in_nowhere(tenants: Any, tmp_path: Path) -> None:
    tenants.playbook("tenants", tenants_list=tenants.listed(LOGIN, without="bravo"))
    assert logs_in(tenants, "tenant_bravo") == ""
    page = tmp_path / "unpaid.html"
    page.write_text("<!doctype html><title>Unpaid</title><p>The invoice of this shop is open.</p>")
    suspended = tenants.listed({**LOGIN, "state": "suspended"}, without="bravo")
    tenants.playbook("tenants", tenants_list=suspended, tenants_suspended_status=402, tenants_suspended_page=str(page))
    for method in ("GET", "POST"):
        answer = tenants.web.ask(tenants.host("bravo"), "/products", method=method)
        assert (answer.status, "The invoice of this shop is open." in answer.text) == (402, True)
        assert answer.headers["cache-control"] == "no-store"
    assert "is not permitted to log in" in logs_in(tenants, "tenant_bravo")
    assert tenants.web.ask(tenants.host("alpha"), "/products").status == 200
    tenants.playbook("tenants", tenants_list=suspended, tenants_suspended_title="Closed for now")
    answer = tenants.web.ask(tenants.host("bravo"))
    assert (answer.status, "Closed for now" in answer.text) == (503, True)


@pytest.mark.long
def test_it_comes_back_as_it_was(tenants: Any, wares: list[str]) -> None:
    tenants.playbook("tenants", tenants_list=tenants.listed(LOGIN, without="bravo"))
    assert tenants.web.products(tenants.host("bravo")) == wares
    assert logs_in(tenants, "tenant_bravo") == ""


def test_it_is_exported_to_the_bucket_and_to_a_directory(tenants: Any, objects: Any, wares: list[str]) -> None:
    before = set(objects())
    play = tenants.playbook("tenant", tenant_export="bravo")
    new = {key.rpartition("/")[2] for key in set(objects()) - before if "/shop/tenant/bravo/" in key}
    assert {"manifest.json"} < new, play.output[-2000:]
    tenants.playbook("tenant", tenant_export="bravo", tenant_directory=HANDOVER)
    vps = tenants.server.vps
    [manifest] = vps.check_output(f"find {HANDOVER} -name manifest.json").splitlines()
    told = json.loads(vps.check_output(f"cat {manifest}"))
    assert {name.rpartition(".")[2]: rows for name, rows in told["tables"].items()} == {
        "orders": 0,
        "order_items": 0,
        "products": len(wares),
    }
    assert PASSWORD not in play.output


def test_it_is_renamed_and_its_host_name_follows(tenants: Any, wares: list[str]) -> None:
    tenants.playbook("tenant", tenant_rename="bravo", tenant_new_name="bravo2")
    renamed = tenants.listed({**LOGIN, "slug": "bravo2"}, without="bravo")
    tenants.playbook("tenants", tenants_list=renamed)
    assert tenants.web.products(tenants.host("bravo2")) == wares
    with pytest.raises((ssl.SSLError, ConnectionError)):
        tenants.web.ask(tenants.host("bravo"))
    assert logs_in(tenants, "tenant_bravo2") == ""
    again = tenants.playbook("tenant", tenant_rename="bravo", tenant_new_name="bravo2")
    assert again.changed == {tenants.server.name: 0}, again.changed_tasks()


@pytest.mark.long
def test_it_moves_to_another_schema_and_back(tenants: Any, wares: list[str]) -> None:
    for schema in ("shelf", "tenant_bravo2"):
        tenants.playbook("tenant", tenant_rename="bravo2", tenant_new_schema=schema)
        assert tenants.sql("SELECT schema_name FROM slipway.tenants WHERE slug = 'bravo2'") == [schema]
        assert tenants.sql(f"SELECT count(*) FROM {schema}.products") == [str(len(wares))]
        assert logs_in(tenants, "tenant_bravo2") == ""  # its search path has moved along
    assert tenants.web.products(tenants.host("bravo2")) == wares


def test_it_is_erased_with_a_certificate(tenants: Any, wares: list[str]) -> None:
    vps = tenants.server.vps
    refused = tenants.play("tenant", tenant_erase="bravo2")
    assert refused.code != 0
    assert "tenant_erase_confirm=bravo2" in refused.output
    tenants.playbook(
        "tenant", tenant_erase="bravo2", tenant_erase_confirm="bravo2", tenant_operator="an operator",
        tenant_reason="request-117",
    )  # fmt: skip
    [path] = vps.check_output(f"find {ERASURES} -name 'bravo2-*.json'").splitlines()
    assert vps.check_output(f"stat --format='%a %U' {path}") == "600 root"
    certificate = json.loads(vps.check_output(f"cat {path}"))
    sealed = certificate.pop("sha256")
    assert hashlib.sha256(json.dumps(certificate, sort_keys=True).encode()).hexdigest() == sealed
    assert (certificate["slug"], certificate["rows"], certificate["reason"]) == ("bravo2", len(wares), "request-117")
    assert certificate["former_slugs"] == ["bravo"]
    assert certificate["export"]["equals_what_was_erased"] is True
    assert certificate["backups_searched"] is True
    # the export of the earlier slug in the bucket is named too
    assert [held for held in certificate["backups"] if held["kind"] == "tenant" and "s3" in held["kept"]]
    assert tenants.sql("SELECT count(*) FROM pg_namespace WHERE nspname = 'tenant_bravo2'") == ["0"]
    assert tenants.sql("SELECT count(*) FROM pg_roles WHERE rolname = 'tenant_bravo2'") == ["0"]
    assert tenants.sql("SELECT count(*) FROM public.tenants WHERE subdomain = 'bravo2'") == ["0"]
    again = tenants.playbook("tenant", tenant_erase="bravo2", tenant_erase_confirm="bravo2")
    assert again.changed == {tenants.server.name: 0}, again.changed_tasks()


@pytest.mark.long
def test_it_is_imported_from_a_directory_and_from_the_bucket(tenants: Any, wares: list[str]) -> None:
    """From the one as somebody else, from the other as what it was."""
    tenants.playbook("tenant", tenant_import="trial", tenant_from_name="bravo", tenant_directory=HANDOVER)
    assert tenants.sql("SELECT name FROM tenant_trial.products ORDER BY id") == wares
    tenants.playbook("tenant", tenant_import="bravo")
    ended = {"state": "absent", "force": True, "export": False}
    tenants.playbook("tenants", tenants_list=tenants.listed({"slug": "bravo2", **ended}, {"slug": "trial", **ended}))
    assert tenants.web.products(tenants.host("bravo")) == wares
    assert tenants.sql("SELECT slug FROM slipway.tenants ORDER BY 1") == ["alpha", "bravo", "charlie"]
    certificates = tenants.server.vps.check_output("ls /etc/letsencrypt/renewal").split()
    assert not [name for name in certificates if "bravo2" in name or "trial" in name]
    refused = tenants.play("tenant", tenant_import="bravo")
    assert refused.code != 0
    assert "The tenant bravo is there already" in " ".join(refused.output.split())
    tenants.server.vps.check_output(f"rm -r {HANDOVER}")
    tenants.sql("DELETE FROM tenant_bravo.products WHERE name IN ('ball', 'net')")
