# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Renaming a tenant: everything follows in one transaction, or nothing does."""

from __future__ import annotations

import pytest

from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError
from ansible_collections.slipway.vps.plugins.module_utils.tenancy import info, rename

PASSWORD = "alpha-secret"
ALPHA = {"slug": "alpha", "login": True, "password": PASSWORD}


def renamed(shop, name="alpha", check=False, **more):
    return rename.run({**shop.server.params(shop.database), "name": name, **more}, check)


def test_everything_follows_and_the_second_run_changes_nothing(shop):
    shop.converge(ALPHA, "other")
    shop.query("INSERT INTO tenant_alpha.products (name) VALUES ('kept')")
    planned = renamed(shop, new_name="beta", check=True)
    assert [tenant["slug"] for tenant in info.gather(shop.server.params(shop.database))] == ["alpha", "other"]
    done = renamed(shop, new_name="beta")
    assert done == planned
    assert done["actions"] == [
        "rename tenant alpha to beta",
        "rename schema tenant_alpha to tenant_beta",
        f"rename role {shop.prefix}alpha to {shop.prefix}beta",
        "rename subdomain alpha to beta",
    ]
    # The SCRAM verifier stays, and the search path has followed.
    login = {"user": f"{shop.prefix}beta", "password": PASSWORD}
    assert shop.query("SELECT name FROM products", **login) == [("kept",)]
    assert shop.query("SELECT name FROM tenant_beta.products", user=shop.application) == [("kept",)]
    assert shop.query("SELECT subdomain FROM public.tenants ORDER BY 1") == [("beta",), ("other",)]
    events = shop.query("SELECT slug FROM slipway.tenant_events WHERE actions ->> 0 = 'rename tenant alpha to beta'")
    assert events == [("alpha",), ("beta",)]
    assert renamed(shop, new_name="beta")["changed"] is False
    # Listed by its new name nothing is left to do: grants, ledger and row came along.
    assert shop.converge({**ALPHA, "slug": "beta"}, "other")["changed"] is False


def test_another_schema_alone(shop):
    shop.converge(ALPHA)
    role = f"{shop.prefix}alpha"
    body = "SELECT count(*) FROM tenant_alpha.products"
    shop.query(f"SET ROLE {role}; CREATE FUNCTION tenant_alpha.count() RETURNS bigint LANGUAGE sql AS $${body}$$")
    shop.query(f"ALTER ROLE {shop.application} SET search_path = tenant_alpha, public")
    done = renamed(shop, new_schema="archive_alpha")
    assert done["actions"] == ["rename schema tenant_alpha to archive_alpha"]
    assert "count" in done["warnings"][0] and f"{shop.application} in every database" in done["warnings"][1]
    assert shop.query("SHOW search_path", user=f"{shop.prefix}alpha", password=PASSWORD) == [("archive_alpha, public",)]
    assert shop.converge(ALPHA)["changed"] is False


def test_a_name_that_only_ends_like_the_slug_stays(shop):
    shop.converge("a")
    renamed(shop, name="a", new_schema="archive_alpha")
    done = renamed(shop, name="a", new_name="b")
    assert (done["tenant"]["schema"], done["tenant"]["role"]) == ("archive_alpha", f"{shop.prefix}b")


def test_a_name_that_is_taken_is_refused_and_nothing_is_renamed(shop):
    shop.converge("alpha", "beta")
    shop.query("CREATE SCHEMA theirs")
    shop.query("INSERT INTO public.tenants (subdomain) VALUES ('free')")
    with pytest.raises(SlipwayError, match="slug beta is taken"):
        renamed(shop, new_name="beta")
    with pytest.raises(SlipwayError, match="schema theirs is taken"):
        renamed(shop, new_schema="theirs")
    with pytest.raises(SlipwayError, match=f"role {shop.application} is taken"):
        renamed(shop, new_role=shop.application)
    with pytest.raises(SlipwayError, match="subdomain free is taken"):
        renamed(shop, new_name="free")
    with pytest.raises(SlipwayError, match="is reserved"):
        renamed(shop, new_schema="pg_mine")
    with pytest.raises(SlipwayError, match="There is no tenant gamma"):
        renamed(shop, name="gamma", new_name="delta")
    assert shop.converge("alpha", "beta")["changed"] is False


def verifier(shop, slug):
    stored = dict(shop.query("SELECT rolname, rolpassword FROM pg_authid"))
    return stored[f"{shop.prefix}{slug}"]


def md5(shop):
    shop.converge({"slug": "alpha"})
    shop.query(f"SET password_encryption = 'md5'; ALTER ROLE {shop.prefix}alpha LOGIN PASSWORD '{PASSWORD}'")


def test_a_password_that_the_server_would_delete_is_asked_for(shop):
    md5(shop)
    for check in (True, False):
        with pytest.raises(SlipwayError, match="stored as md5"):
            renamed(shop, new_name="beta", check=check)
    renamed(shop, new_name="beta", password=PASSWORD)
    assert shop.query("SELECT count(*) FROM products", user=f"{shop.prefix}beta", password=PASSWORD) == [(0,)]
    assert verifier(shop, "beta").startswith("SCRAM-SHA-256$")


def test_who_may_not_read_passwords_hears_of_it_by_the_servers_notice(shop):
    md5(shop)
    owner = f"{shop.prefix}owner"
    shop.query(f"CREATE ROLE {owner} LOGIN CREATEROLE PASSWORD '{PASSWORD}'")
    shop.query(f"GRANT {shop.prefix}alpha TO {owner} WITH ADMIN OPTION")
    shop.query(f"GRANT ALL ON SCHEMA slipway TO {owner}; GRANT ALL ON ALL TABLES IN SCHEMA slipway, public TO {owner}")
    shop.query(f"GRANT CREATE ON DATABASE {shop.database} TO {owner}")
    who = {"login_user": owner, "login_password": PASSWORD}
    with pytest.raises(SlipwayError, match="stored as md5"):
        renamed(shop, new_name="beta", **who)
    assert verifier(shop, "alpha").startswith("md5")
    renamed(shop, new_name="beta", password="fresh-secret", **who)
    assert shop.query("SELECT count(*) FROM products", user=f"{shop.prefix}beta", password="fresh-secret") == [(0,)]
    with pytest.raises(SlipwayError, match="authentication failed"):
        shop.query("SELECT 1", user=f"{shop.prefix}alpha", password=PASSWORD)
