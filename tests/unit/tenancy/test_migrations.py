# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.slipway.vps.plugins.module_utils.tenancy import templates

from .test_converge import only

INIT = {"name": "0001_init.sql", "sql": "CREATE TABLE products (id serial PRIMARY KEY, name text NOT NULL);\n"}
MORE = {
    "name": "0002_more.sql",
    "sql": "ALTER TABLE products ADD COLUMN price int;\nINSERT INTO products (name) VALUES ('x');",
}
BAD = {
    "name": "0002_more.sql",
    "sql": "ALTER TABLE products ADD COLUMN price int;\nSELECT no_such_column\nFROM products;",
}


def columns(shop, slug):
    rows = shop.query("SELECT table_schema, column_name FROM information_schema.columns WHERE table_name = 'products'")
    return sorted(name for schema, name in rows if schema == f"tenant_{slug}")


def test_new_templates_reach_old_and_new_tenants(shop):
    shop.converge("alpha", templates=[INIT])
    result = shop.converge("alpha", "bravo", templates=[MORE, INIT])
    assert result["tenants"][0]["actions"] == ["run 0002_more.sql"]
    assert result["tenants"][1]["actions"][-2:] == ["run 0001_init.sql", "run 0002_more.sql"]
    assert columns(shop, "alpha") == columns(shop, "bravo") == ["id", "name", "price"]
    assert shop.converge("alpha", "bravo", templates=[INIT, MORE])["changed"] is False
    ledger = shop.query("SELECT slug, template FROM slipway.tenant_migrations ORDER BY 1, 2")
    assert len(ledger) == 4


def test_a_failing_template_leaves_its_tenant_as_it_was_and_the_next_run_resumes(shop):
    shop.converge("alpha", "bravo", templates=[INIT])
    shop.query("ALTER TABLE tenant_alpha.products ADD COLUMN price int")  # so that only alpha fails
    result = shop.converge("alpha", "bravo", templates=[INIT, MORE])
    assert result["summary"]["failed"] == 1
    assert result["tenants"][0]["error"] == (
        'The SQL template 0002_more.sql failed for tenant alpha: column "price" of relation "products" already exists. '
        "Nothing of it was kept. Correct the template and run again."
    )
    assert result["tenants"][1]["actions"] == ["run 0002_more.sql"]
    shop.query("ALTER TABLE tenant_alpha.products DROP COLUMN price")
    resumed = shop.converge("alpha", "bravo", templates=[INIT, MORE])
    assert [tenant["actions"] for tenant in resumed["tenants"]] == [["run 0002_more.sql"], []]


def test_a_new_tenant_with_a_failing_template_is_not_there_at_all(shop):
    result = only(shop.converge("alpha", templates=[INIT, BAD]))
    assert result["error"].startswith(
        'The SQL template 0002_more.sql failed for tenant alpha, line 2: column "no_such_column" does not exist.'
    )
    assert result["changed"] is False
    assert shop.query("SELECT count(*) FROM pg_namespace WHERE nspname = 'tenant_alpha'") == [(0,)]
    assert shop.query(f"SELECT to_regrole('{shop.prefix}alpha')") == [(None,)]
    assert shop.query("SELECT count(*) FROM public.tenants") == [(0,)]


@pytest.mark.parametrize(("policy", "skipped"), [("stop", [False, True]), ("continue", [False, False])])
def test_stop_or_continue(shop, policy, skipped):
    shop.converge("alpha", "bravo", templates=[INIT])
    result = shop.converge("alpha", "bravo", templates=[INIT, BAD], on_error=policy, workers=1)
    assert [tenant["skipped"] for tenant in result["tenants"]] == skipped


def test_a_changed_past_template_is_refused_with_its_name(shop):
    shop.converge("alpha", templates=[INIT])
    changed = {**INIT, "sql": INIT["sql"] + "SELECT 1;"}
    for check in (True, False):
        result = only(shop.converge("alpha", templates=[changed, MORE], check=check))
        assert result["error"].startswith("The SQL template 0001_init.sql was changed after it had run")
    assert columns(shop, "alpha") == ["id", "name"]
    blanks = {**INIT, "sql": INIT["sql"].replace("\n", "\r\n") + "\n\n"}
    assert shop.converge("alpha", templates=[blanks])["changed"] is False


def test_a_template_waits_no_longer_than_lock_timeout(shop):
    shop.converge("alpha", templates=[INIT])
    holder = shop.server.connect(shop.database)
    try:
        holder.autocommit = False
        holder.cursor().execute("LOCK tenant_alpha.products IN ACCESS SHARE MODE")
        result = only(shop.converge("alpha", templates=[INIT, MORE], lock_timeout="200ms"))
    finally:
        holder.close()
    assert "canceling statement due to lock timeout" in result["error"]
    assert "raise lock_timeout" in result["error"]
    assert only(shop.converge("alpha", templates=[INIT, MORE]))["actions"] == ["run 0002_more.sql"]


def test_a_template_cannot_act_as_the_connected_superuser(shop):
    spy = {"name": "0001_spy.sql", "sql": "CREATE TABLE public.spy ();"}
    assert "permission denied for schema public" in only(shop.converge("alpha", templates=[spy]))["error"]


def test_a_template_that_ends_its_transaction_unseen_is_told_so(shop, monkeypatch):
    monkeypatch.setattr(templates, "check", lambda template: template)  # as if the look at the text had missed it
    sly = {"name": "0001_sly.sql", "sql": "SELECT 1; COMMIT"}
    result = only(shop.converge("alpha", templates=[sly]))
    assert "ended the transaction" in result["error"]


def test_percent_signs_and_braces_are_only_text(shop):
    odd = {
        "name": "0001_odd.sql",
        "sql": "CREATE TABLE products (name text DEFAULT '100 %s {} %(x)s' CHECK (name LIKE '%'));",
    }
    assert only(shop.converge("alpha", templates=[odd]))["error"] is None


def test_templates_from_a_directory(shop, tmp_path):
    (tmp_path / "0001_init.sql").write_text(INIT["sql"])
    (tmp_path / "README.md").write_text("not SQL")
    assert only(shop.converge("alpha", templates=[], template_dir=str(tmp_path)))["actions"][-1] == "run 0001_init.sql"
    assert shop.converge("alpha", templates=[INIT])["changed"] is False
