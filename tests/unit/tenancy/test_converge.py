# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import argparse
import json

import psycopg2
import pytest

from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError
from ansible_collections.slipway.vps.plugins.module_utils.tenancy import commands, configuration, engine, info

from .conftest import Shop

ALPHA = {"slug": "alpha", "plan": "free", "custom_domain": "Shop.Example.org"}
TENANT_PASSWORD = "alpha-secret"


OTHER_REGISTRY = """
CREATE TABLE public.plans (id int PRIMARY KEY, code varchar(20));
INSERT INTO public.plans VALUES (7, 'gold');
CREATE TABLE public.tenants (
    id uuid PRIMARY KEY, subdomain varchar(63) UNIQUE NOT NULL, custom_domain varchar,
    plan_id int NOT NULL REFERENCES public.plans, created_at timestamptz NOT NULL,
    display_name text NOT NULL, paid boolean NOT NULL DEFAULT false);
"""


def only(result):
    (tenant,) = result["tenants"]
    return tenant


def test_a_tenant_is_created_and_the_second_run_changes_nothing(shop):
    first = shop.converge(ALPHA, "bravo")
    assert first["summary"] == {"total": 2, "changed": 2, "failed": 0, "skipped": 0, "unchanged": 0}
    assert first["database"] == ["create schema slipway"]
    assert "create schema tenant_alpha" in first["tenants"][0]["actions"]
    rows = shop.query(
        "SELECT subdomain, custom_domain, name FROM public.tenants LEFT JOIN public.plans p ON p.id = plan_id"
        " ORDER BY subdomain"
    )
    assert rows == [("alpha", "shop.example.org", "free"), ("bravo", None, None)]
    assert shop.query("SELECT tableowner FROM pg_tables WHERE schemaname = 'tenant_alpha'") == [
        (f"{shop.prefix}alpha",)
    ]

    second = shop.converge(ALPHA, "bravo")
    assert second["changed"] is False
    assert [tenant["actions"] for tenant in second["tenants"]] == [[], []]
    assert second["diff"] == {"before": {}, "after": {}}


def test_check_mode_says_what_a_run_does_and_does_nothing(shop):
    planned = shop.converge(ALPHA, check=True)
    assert shop.query("SELECT count(*) FROM pg_namespace WHERE nspname IN ('slipway', 'tenant_alpha')") == [(0,)]
    assert shop.query("SELECT count(*) FROM public.tenants") == [(0,)]
    done = shop.converge(ALPHA)
    assert planned["tenants"] == done["tenants"]
    assert planned["diff"] == done["diff"]
    assert shop.converge(ALPHA, check=True)["changed"] is False


def test_the_application_reaches_every_tenant_with_data_rights_only(shop):
    shop.converge("alpha")
    shop.query("INSERT INTO tenant_alpha.products (name) VALUES ('ball')", user=shop.application)
    assert shop.query("SELECT id, name FROM tenant_alpha.products", user=shop.application) == [(1, "ball")]
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        shop.query("CREATE TABLE tenant_alpha.mine ()", user=shop.application)
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        shop.query("TRUNCATE tenant_alpha.products", user=shop.application)


def test_the_application_as_a_member_of_the_tenants_roles(shop):
    shop.converge("alpha", application_grant="membership")
    assert shop.converge("alpha", application_grant="membership")["changed"] is False
    shop.query(f"SET ROLE {shop.prefix}alpha; TABLE tenant_alpha.products", user=shop.application)


def test_a_password_is_set_once_and_again_when_it_changes(shop):
    alpha = {"slug": "alpha", "login": True, "password": TENANT_PASSWORD}
    first = shop.converge(alpha)
    assert shop.converge(alpha)["changed"] is False
    changed = shop.converge({**alpha, "password": "another-secret"})
    assert only(changed)["actions"] == [f"set password of role {shop.prefix}alpha"]
    shop.query("SELECT 1", user=f"{shop.prefix}alpha", password="another-secret")
    for result in (first, changed):
        assert TENANT_PASSWORD not in json.dumps(result)
        assert "another-secret" not in json.dumps(result)
    assert TENANT_PASSWORD not in shop.server.log()


@pytest.mark.parametrize(
    ("damage", "repair"),
    [
        ("REVOKE SELECT ON tenant_alpha.products FROM {app}", "grant SELECT, INSERT, UPDATE, DELETE on 1 tables"),
        ("REVOKE ALL ON SEQUENCE tenant_alpha.products_id_seq FROM {app}", "grant USAGE, SELECT on 1 sequences"),
        ("REVOKE USAGE ON SCHEMA tenant_alpha FROM {app}", "grant USAGE on schema tenant_alpha"),
        ("GRANT USAGE ON SCHEMA tenant_alpha TO PUBLIC", "revoke all on schema tenant_alpha from PUBLIC"),
        ("GRANT SELECT ON tenant_alpha.products TO PUBLIC", "revoke all on 1 tables in tenant_alpha from PUBLIC"),
        (
            "ALTER DEFAULT PRIVILEGES FOR ROLE {role} IN SCHEMA tenant_alpha REVOKE INSERT ON TABLES FROM {app}",
            "grant SELECT, INSERT, UPDATE, DELETE on future tables",
        ),
        (
            "ALTER DEFAULT PRIVILEGES FOR ROLE {role} GRANT EXECUTE ON FUNCTIONS TO PUBLIC",
            "revoke EXECUTE on future functions of role",
        ),
        ("ALTER ROLE {role} CREATEDB", "take CREATEDB from role"),
        ("ALTER ROLE {role} LOGIN", "forbid role"),
        ("ALTER ROLE {role} CONNECTION LIMIT 3", "set connection limit of role"),
        ("ALTER ROLE {role} IN DATABASE {database} SET search_path = public", "set search_path of role"),
        ("ALTER ROLE {role} IN DATABASE {database} SET statement_timeout = '1s'", "reset statement_timeout"),
        ("ALTER SCHEMA tenant_alpha OWNER TO {app}", "give schema tenant_alpha to role"),
        (
            "UPDATE public.tenants SET custom_domain = 'evil.example.org' WHERE subdomain = 'alpha'",
            "update custom_domain in public.tenants",
        ),
        ("DELETE FROM public.tenants", "insert row in public.tenants"),
    ],
)
def test_drift_is_reported_and_repaired(shop, damage, repair):
    shop.converge(ALPHA, "bravo")
    names = {"app": shop.application, "role": f"{shop.prefix}alpha", "database": shop.database}
    shop.query(damage.format(**names))
    if "public.tenants" in damage:
        shop.converge("bravo")
    planned = shop.converge(ALPHA, "bravo", check=True)
    repaired = shop.converge(ALPHA, "bravo")
    assert planned["tenants"] == repaired["tenants"]
    assert [tenant["changed"] for tenant in repaired["tenants"]] == [True, False]
    assert any(action.startswith(repair) for action in repaired["tenants"][0]["actions"])
    assert shop.converge(ALPHA, "bravo")["changed"] is False


def test_another_grant_is_left_alone_unless_exclusive(shop):
    shop.converge("alpha")
    shop.server.query(f"CREATE ROLE {shop.prefix}report")
    shop.query(
        f"GRANT USAGE ON SCHEMA tenant_alpha TO {shop.prefix}report;"
        f"GRANT SELECT ON tenant_alpha.products TO {shop.prefix}report"
    )
    assert shop.converge("alpha")["changed"] is False
    assert len(only(shop.converge("alpha", exclusive=True))["actions"]) == 2
    assert shop.converge("alpha", exclusive=True)["changed"] is False


def test_limits(shop):
    alpha = {
        "slug": "alpha",
        "connection_limit": 5,
        "statement_timeout": "30s",
        "login": True,
        "password": TENANT_PASSWORD,
    }
    shop.converge(alpha)
    assert shop.converge(alpha)["changed"] is False
    shown = shop.query("SHOW statement_timeout", user=f"{shop.prefix}alpha", password=TENANT_PASSWORD)
    assert shown == [("30s",)]


def test_suspended_and_resumed(shop):
    alpha = {"slug": "alpha", "login": True, "password": TENANT_PASSWORD}
    shop.converge(alpha)
    shop.query("INSERT INTO tenant_alpha.products (name) VALUES ('ball')")
    suspended = {**alpha, "state": "suspended"}
    assert "suspend tenant alpha" in only(shop.converge(suspended))["actions"]
    assert shop.converge(suspended)["changed"] is False
    with pytest.raises(SlipwayError, match="may not log in"):
        shop.query("SELECT 1", user=f"{shop.prefix}alpha", password=TENANT_PASSWORD)
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        shop.query("SELECT * FROM tenant_alpha.products", user=shop.application)
    assert "resume tenant alpha" in only(shop.converge(alpha))["actions"]
    assert shop.query("SELECT name FROM tenant_alpha.products", user=shop.application) == [("ball",)]


def test_absent_needs_force_and_an_export_or_the_word_against_it(shop):
    shop.converge("alpha", "bravo")
    gone = {"slug": "alpha", "state": "absent"}
    assert "force: true" in only(shop.converge(gone))["error"]
    assert "export: false" in only(shop.converge({**gone, "force": True}))["error"]
    assert shop.query("SELECT count(*) FROM tenant_alpha.products") == [(0,)]
    result = shop.converge({**gone, "force": True, "export": False})
    assert only(result)["actions"] == [
        "drop schema tenant_alpha with all it holds",
        "delete row in public.tenants",
        f"drop role {shop.prefix}alpha",
        "remove from slipway.tenants",
    ]
    assert shop.query("SELECT subdomain FROM public.tenants") == [("bravo",)]
    assert shop.query(f"SELECT to_regrole('{shop.prefix}alpha')") == [(None,)]
    assert shop.converge(gone)["changed"] is False


def test_nobody_changes_the_events(shop):
    shop.converge("alpha")
    events = shop.query("SELECT slug, actions ->> 0 FROM slipway.tenant_events")
    assert events == [("alpha", "insert row in public.tenants")]
    for statement in ("DELETE FROM", "TRUNCATE", "UPDATE"):
        tail = " SET slug = 'x'" if statement == "UPDATE" else ""
        with pytest.raises(psycopg2.errors.InsufficientPrivilege, match="append-only"):
            shop.query(f"{statement} slipway.tenant_events{tail}")


def test_the_registry_is_created_only_when_asked(bare_shop):
    with pytest.raises(SlipwayError, match="has no table"):
        bare_shop.converge(ALPHA)
    assert bare_shop.query("SELECT count(*) FROM pg_namespace WHERE nspname = 'slipway'") == [(0,)]
    planned = bare_shop.converge(ALPHA, registry_create=True, check=True)
    done = bare_shop.converge(ALPHA, registry_create=True)
    assert planned["database"] == done["database"]
    assert done["database"][1:] == ["create tables public.tenants and public.plans", "create plan free"]
    assert planned["tenants"] == done["tenants"]
    assert planned["diff"] == done["diff"]
    assert bare_shop.converge(ALPHA, registry_create=True)["changed"] is False
    bare_shop.query("INSERT INTO public.tenants (subdomain) VALUES ('signed-up')", user=bare_shop.application)


def test_a_team_registry_with_columns_of_its_own(postgres, database):
    shop = Shop(postgres, database, OTHER_REGISTRY)
    assert "needs a plan" in only(shop.converge("alpha"))["error"]
    assert "value for display_name" in only(shop.converge({"slug": "alpha", "plan": "gold"}))["error"]
    alpha = {"slug": "alpha", "plan": "gold", "columns": {"display_name": 'Alpha\'s "Shop"', "paid": True}}
    planned = shop.converge(alpha, check=True)
    assert only(planned)["error"] is None
    assert planned["diff"] == shop.converge(alpha)["diff"]
    assert shop.converge(alpha)["changed"] is False
    assert shop.query("SELECT plan_id, display_name, paid FROM public.tenants") == [(7, 'Alpha\'s "Shop"', True)]
    assert "not in public.plans" in only(shop.converge({**alpha, "plan": "silver"}))["error"]


def test_a_row_of_a_sign_up_is_adopted(shop):
    shop.query("INSERT INTO public.tenants (subdomain) VALUES ('alpha')")
    actions = only(shop.converge("alpha"))["actions"]
    assert "insert row in public.tenants" not in actions
    assert shop.query("SELECT count(*) FROM public.tenants") == [(1,)]


def test_source_registry_takes_every_row_and_names_the_bad_ones(shop):
    shop.query("INSERT INTO public.tenants (subdomain) VALUES ('north-shop'), ('Robert''); DROP TABLE x')")
    result = shop.converge(source="registry")
    good, bad = sorted(result["tenants"], key=lambda tenant: bool(tenant["error"]))
    assert (good["slug"], good["error"]) == ("north_shop", None)
    assert "is not allowed" in bad["error"]
    assert shop.converge(source="registry")["changed"] is False


def test_a_subdomain_or_domain_of_another_tenant_is_refused(shop):
    shop.converge(ALPHA)
    error = only(shop.converge({"slug": "bravo", "subdomain": "alpha"}))["error"]
    assert error.startswith("The subdomain alpha belongs to tenant alpha.")
    error = only(shop.converge({"slug": "bravo", "custom_domain": "shop.example.org"}))["error"]
    assert error.startswith("The domain shop.example.org of tenant bravo belongs to tenant alpha.")


def test_a_role_of_another_database_is_not_shared(shop, postgres):
    shop.converge("alpha")
    other = Shop(postgres, postgres.new_database())
    other.prefix = shop.prefix
    assert "in use by database" in only(other.converge("alpha"))["error"]


def test_a_missing_application_role_is_named(shop):
    assert "role nobody_here does not exist" in only(shop.converge("alpha", application_roles=["nobody_here"]))["error"]


def test_the_first_failure_stops_the_rest_if_told_so(shop):
    bad = {"slug": "bravo", "plan": "no such plan"}
    go_on = shop.converge("alpha", bad, "charlie", on_error="continue")
    assert go_on["summary"] == {"total": 3, "changed": 2, "failed": 1, "skipped": 0, "unchanged": 0}
    stop = shop.converge("delta", bad, "echo", on_error="stop")
    assert stop["summary"] == {"total": 3, "changed": 0, "failed": 1, "skipped": 2, "unchanged": 0}


def test_queries_do_not_grow_with_the_tenants(shop):
    few = [f"few{number}" for number in range(2)]
    many = [f"many{number}" for number in range(30)]
    shop.converge(*few, *many)
    assert shop.converge(*few)["queries"] == shop.converge(*many)["queries"] < 20


def test_a_role_without_superuser_rights_is_enough(shop):
    owner = f"{shop.prefix}owner"
    shop.server.query(f"CREATE ROLE {owner} LOGIN CREATEROLE CREATEDB PASSWORD 'owner-secret'")
    shop.server.query(f'ALTER DATABASE "{shop.database}" OWNER TO {owner}')
    shop.query(f"ALTER TABLE public.tenants OWNER TO {owner}; ALTER TABLE public.plans OWNER TO {owner}")
    managed = {"login_user": owner, "login_password": "owner-secret"}
    alpha = {**ALPHA, "login": True, "password": TENANT_PASSWORD}
    assert only(shop.converge(alpha, **managed))["error"] is None
    assert shop.converge(alpha, **managed)["changed"] is False
    shop.query("SELECT * FROM products", user=f"{shop.prefix}alpha", password=TENANT_PASSWORD)
    gone = {"slug": "alpha", "state": "absent", "force": True, "export": False}
    assert only(shop.converge(gone, **managed))["error"] is None


def test_what_is_known_about_tenants(shop):
    params = shop.server.params(shop.database)
    assert info.gather(params) == []
    shop.converge(ALPHA, {"slug": "bravo", "state": "suspended"})
    alpha, bravo = info.gather(params)
    assert alpha.pop("registry_id") == shop.query("SELECT id::text FROM public.tenants WHERE subdomain = 'alpha'")[0][0]
    assert alpha == {
        "slug": "alpha",
        "state": "present",
        "subdomain": "alpha",
        "custom_domain": "shop.example.org",
        "plan": "free",
        "schema": "tenant_alpha",
        "role": f"{shop.prefix}alpha",
        "login": False,
        "connection_limit": -1,
        "tables": 1,
        "templates": ["0001_init.sql"],
    }
    assert bravo["state"] == "suspended"
    assert [tenant["slug"] for tenant in info.gather({**params, "slugs": ["bravo", "zulu"]})] == ["bravo"]


def test_the_command_lists_them(shop, tmp_path, monkeypatch, capsys):
    shop.converge(ALPHA, "bravo")
    (tmp_path / "shop.json").write_text(json.dumps(shop.server.params(shop.database)))
    monkeypatch.setattr(configuration, "DIRECTORY", tmp_path)
    parser = argparse.ArgumentParser()
    commands.register(parser.add_subparsers())
    args = parser.parse_args(["tenants", "list"])
    assert args.func(args) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "shop: 2 tenants"
    assert lines[2].split() == [
        "alpha",
        "present",
        "alpha",
        "shop.example.org",
        "free",
        "tenant_alpha",
        "1",
        "0001_init.sql",
    ]
    assert lines[3].split()[:5] == ["bravo", "present", "bravo", "-", "-"]
    args = parser.parse_args(["tenants", "list", "--stack", "shop", "--json"])
    assert args.func(args) == 0
    assert [tenant["slug"] for tenant in json.loads(capsys.readouterr().out)["shop"]] == ["alpha", "bravo"]
    with pytest.raises(SlipwayError, match="No tenants of a stack none"):
        configuration.stacks("none")


def test_nobody_may_create_in_schema_public(shop):
    shop.query("GRANT CREATE ON SCHEMA public TO PUBLIC")  # as it was before PostgreSQL 15
    result = shop.converge("alpha")
    assert "revoke CREATE on schema public from PUBLIC" in result["database"]
    assert shop.converge("alpha")["changed"] is False
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        shop.query("CREATE TABLE public.mine ()", user=shop.application)


def test_exclusive_takes_memberships_and_future_rights_away(shop):
    shop.converge("alpha")
    report, role = f"{shop.prefix}report", f"{shop.prefix}alpha"
    shop.query(
        f"CREATE ROLE {report}; GRANT {role} TO {report};"
        f"ALTER DEFAULT PRIVILEGES FOR ROLE {role} IN SCHEMA tenant_alpha GRANT SELECT ON TABLES TO {report}"
    )
    assert shop.converge("alpha")["changed"] is False
    assert sorted(only(shop.converge("alpha", exclusive=True))["actions"]) == [
        f"revoke all on future tables in tenant_alpha from {report}",
        f"revoke role {role} from {report}",
    ]
    assert shop.converge("alpha", exclusive=True)["changed"] is False


def test_a_suspended_tenant_leaves_the_membership_too(shop):
    shop.converge("alpha", application_grant="membership")
    suspended = {"slug": "alpha", "state": "suspended"}
    shop.converge(suspended, application_grant="membership")
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        shop.query(f"SET ROLE {shop.prefix}alpha", user=shop.application)
    assert shop.converge(suspended, application_grant="membership")["changed"] is False


def test_a_tenant_that_fails_is_a_sentence_for_a_release(shop):
    good = shop.converge("alpha")
    assert engine.verdict(good) == ""
    engine.raise_on_failure(good)
    bad = shop.converge({"slug": "bravo", "plan": "gold"}, {"slug": "charlie", "plan": "gold"})
    with pytest.raises(SlipwayError, match=r"Tenants: bravo: The plan 'gold' .* \(1 more failed\)"):
        engine.raise_on_failure(bad)


def test_a_role_that_is_not_a_tenants_is_never_taken_over(shop):
    shop.server.query(f"CREATE ROLE {shop.prefix}root SUPERUSER")
    for state in ("present", "absent"):
        tenant = {"slug": "root", "state": state, "force": True, "export": False}
        assert "is not a tenant's" in only(shop.converge(tenant))["error"]
    assert "is not a tenant's" in only(shop.converge("app"))["error"]


def test_a_registry_that_lacks_a_column_is_named(bare_shop):
    bare_shop.query("CREATE TABLE public.tenants (id uuid PRIMARY KEY, subdomain text)")
    with pytest.raises(SlipwayError, match="no column custom_domain, plan_id"):
        bare_shop.converge("alpha")


def test_a_custom_domain_is_cleared_by_an_empty_text_only(shop):
    shop.converge(ALPHA)
    assert shop.converge("alpha")["changed"] is False
    shop.converge({"slug": "alpha", "custom_domain": ""})
    assert shop.query("SELECT custom_domain FROM public.tenants") == [(None,)]
