# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rights that nobody asked for, and what each tenant can and cannot see of the others."""

from __future__ import annotations

import psycopg2
import pytest

from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError

from .conftest import Shop
from .test_converge import only

SECRET = "tenant-secret"
SLUGS = ("alpha", "bravo", "charlie")
TEMPLATES = [
    {"name": "0001_products.sql", "sql": "CREATE TABLE products (id serial PRIMARY KEY, name text)"},
    {"name": "0002_view.sql", "sql": "CREATE VIEW names AS SELECT name FROM products"},
    {"name": "0003_function.sql", "sql": "CREATE FUNCTION secret() RETURNS int LANGUAGE sql AS 'SELECT 1'"},
    {"name": "0004_type.sql", "sql": "CREATE TYPE size AS ENUM ('small', 'large')"},
]

EXTRAS = [
    ("GRANT CREATE ON SCHEMA tenant_alpha TO {app}", "CREATE on schema tenant_alpha from {app}"),
    (
        "GRANT TRUNCATE, TRIGGER ON tenant_alpha.products TO {app}",
        "TRUNCATE, TRIGGER on tables in tenant_alpha from {app}",
    ),
    (
        "GRANT UPDATE ON SEQUENCE tenant_alpha.products_id_seq TO {app}",
        "UPDATE on sequences in tenant_alpha from {app}",
    ),
    (
        "ALTER DEFAULT PRIVILEGES FOR ROLE {role} IN SCHEMA tenant_alpha GRANT REFERENCES ON TABLES TO {app}",
        "REFERENCES on future tables in tenant_alpha from {app}",
    ),
    ("GRANT {role} TO {app}", "role {role} from {app}"),
    ("GRANT USAGE ON SCHEMA tenant_alpha TO {report}", "all on schema tenant_alpha from {report}"),
    ("GRANT SELECT ON tenant_alpha.names TO {report}", "all on 1 tables in tenant_alpha from {report}"),
    (
        "GRANT SELECT (name), UPDATE (name) ON tenant_alpha.products TO {report}",
        "all on 1 columns in tenant_alpha from {report}",
    ),
    ("GRANT SELECT (id, name) ON tenant_alpha.products TO {bravo}", "all on 2 columns in tenant_alpha from {bravo}"),
    ("GRANT EXECUTE ON FUNCTION tenant_alpha.secret() TO {report}", "all on 1 functions in tenant_alpha from {report}"),
    ("GRANT {role} TO {report}", "role {role} from {report}"),
    ("GRANT USAGE ON SCHEMA tenant_alpha TO {bravo}", "all on schema tenant_alpha from {bravo}"),
    ("GRANT {role} TO {bravo}", "role {role} from {bravo}"),
]


@pytest.fixture(scope="module")
def two(postgres):
    """Two tenants and a role that is none; every test leaves them as they were."""
    shop = Shop(postgres, postgres.new_database())
    shop.converge("alpha", "bravo", templates=TEMPLATES)
    shop.query(f"CREATE ROLE {shop.prefix}report")
    return shop


@pytest.mark.parametrize(("grant", "extra"), EXTRAS)
def test_an_extra_right_is_reported_and_taken_away_when_exclusive(two, grant, extra):
    shop = two
    names = {"app": shop.application, "role": f"{shop.prefix}alpha", "bravo": f"{shop.prefix}bravo"}
    names["report"] = f"{shop.prefix}report"
    shop.query(grant.format(**names))
    for check in (True, False):
        left = shop.converge("alpha", "bravo", templates=TEMPLATES, check=check)
        assert left["changed"] is False
        assert [tenant["extras"] for tenant in left["tenants"]] == [[extra.format(**names)], []]
    planned = shop.converge("alpha", "bravo", templates=TEMPLATES, exclusive=True, check=True)
    taken = shop.converge("alpha", "bravo", templates=TEMPLATES, exclusive=True)
    assert planned["tenants"] == taken["tenants"]
    assert [tenant["actions"] for tenant in taken["tenants"]] == [[f"revoke {extra.format(**names)}"], []]
    for exclusive in (True, False):
        after = shop.converge("alpha", "bravo", templates=TEMPLATES, exclusive=exclusive)
        assert (after["changed"], [tenant["extras"] for tenant in after["tenants"]]) == (False, [[], []])
    # what the application needs, it kept
    shop.query("INSERT INTO tenant_alpha.products (name) VALUES ('ball')", user=shop.application)
    shop.query("SELECT tenant_alpha.secret()", user=shop.application)


def test_nothing_is_extra_in_a_tenant_as_it_was_made(shop):
    for grant in ("grants", "membership"):
        slug = f"made_by_{grant}"
        shop.converge(slug, templates=TEMPLATES, application_grant=grant)
        for state in ("present", "suspended"):
            shop.converge({"slug": slug, "state": state}, templates=TEMPLATES, application_grant=grant)
            after = shop.converge({"slug": slug, "state": state}, templates=TEMPLATES, application_grant=grant)
            assert (after["changed"], only(after)["extras"]) == (False, [])


THREE = [{"slug": slug, "login": True, "password": SECRET} for slug in SLUGS]


@pytest.fixture(scope="module")
def three(postgres):
    """Three tenants that log in themselves, with something to see in each; every test leaves them as they were."""
    shop = Shop(postgres, postgres.new_database())
    shop.converge(*THREE, templates=TEMPLATES, exclusive=True)
    for slug in SLUGS:
        shop.query("INSERT INTO products (name) SELECT 'ball' FROM generate_series(1, 1000)", **login(shop, slug))
    return shop


def login(shop, slug):
    return {"user": f"{shop.prefix}{slug}", "password": SECRET}


TRIALS = [
    "TABLE {other}.products",
    "TABLE {other}.names",
    "SELECT count(*) FROM {other}.products",
    "SELECT {other}.secret()",
    "SELECT 'small'::{other}.size",
    "INSERT INTO {other}.products (name) VALUES ('x')",
    "UPDATE {other}.products SET name = 'x'",
    "DELETE FROM {other}.products",
    "TRUNCATE {other}.products",
    "BEGIN; LOCK {other}.products",
    "COPY {other}.products TO STDOUT",
    "ANALYZE {other}.products",
    "CREATE TABLE {other}.mine ()",
    "CREATE FUNCTION {other}.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE TABLE mine (id int REFERENCES {other}.products (id))",
    "ALTER TABLE {other}.products ADD COLUMN mine int",
    "ALTER TABLE products SET SCHEMA {other}",
    "CREATE INDEX ON {other}.products (name)",
    "COMMENT ON TABLE {other}.products IS 'mine'",
    "GRANT SELECT ON {other}.products TO {me}",
    "SET ROLE {them}",
    "ALTER ROLE {them} LOGIN",
    "ALTER DEFAULT PRIVILEGES FOR ROLE {them} GRANT ALL ON TABLES TO {me}",
    "SELECT nextval('{other}.products_id_seq')",
    "SELECT currval('{other}.products_id_seq')",
    "SELECT pg_relation_size('{other}.products')",
    "SELECT pg_table_size('{other}.products')",
    "SELECT pg_total_relation_size('{other}.products')",
    "SELECT pg_indexes_size('{other}.products')",
    "TABLE public.tenants",
    "TABLE slipway.tenants",
    "TABLE slipway.tenant_events",
    "TABLE slipway.tenant_problems",
    "DROP SCHEMA {other} CASCADE",
    "CREATE SCHEMA mine",
    "CREATE TABLE public.mine ()",
    "CREATE EXTENSION dblink",
    "COPY products FROM PROGRAM 'id'",
    "SELECT pg_read_file('/etc/passwd')",
    "TABLE pg_statistic",
    "TABLE pg_authid",
]


@pytest.mark.parametrize("trial", TRIALS)
def test_no_tenant_reaches_another(three, trial):
    for mine, other in zip(SLUGS, (*SLUGS[1:], SLUGS[0]), strict=True):
        names = {"other": f"tenant_{other}", "me": f"{three.prefix}{mine}", "them": f"{three.prefix}{other}"}
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            three.query(trial.format(**names), **login(three, mine))
    rows = [three.query("SELECT count(*), min(name) FROM products", **login(three, slug)) for slug in SLUGS]
    assert rows == [[(1000, "ball")]] * 3


def test_statistics_of_others_values_are_hidden_and_their_bare_sizes_are_not(three):
    """What docs/tenants.md says of the catalogs that all roles of a database share."""
    three.query("ANALYZE")
    values = "SELECT schemaname FROM pg_stats WHERE tablename = 'products'"
    assert set(three.query(values, **login(three, "alpha"))) == {("tenant_alpha",)}
    listed = "SELECT table_schema FROM information_schema.tables WHERE table_name = 'products'"
    assert three.query(listed, **login(three, "alpha")) == [("tenant_alpha",)]
    catalog = "SELECT sum(relpages) > 0 FROM pg_class WHERE relnamespace = 'tenant_bravo'::regnamespace"
    assert three.query(catalog, **login(three, "alpha")) == [(True,)]


def test_a_suspended_tenant_is_out(three):
    three.converge({"slug": "alpha", "state": "suspended", "login": True, "password": SECRET}, templates=TEMPLATES)
    with pytest.raises(SlipwayError, match="may not log in"):
        three.query("SELECT 1", **login(three, "alpha"))
    assert three.query("SELECT count(*) FROM products", **login(three, "bravo")) == [(1000,)]
    three.converge(*THREE, templates=TEMPLATES)
    assert three.query("SELECT count(*) FROM products", **login(three, "alpha")) == [(1000,)]
