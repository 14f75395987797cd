# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError
from ansible_collections.slipway.vps.plugins.module_utils.tenancy import acl, password, spec, templates
from ansible_collections.slipway.vps.plugins.module_utils.tenancy.templates import Template

SQL = [{"name": "0001_init.sql", "sql": "CREATE TABLE t ()"}]


def parse(*tenants, **more):
    return spec.parse({"tenants": list(tenants), **more})


def test_defaults():
    (tenant,) = parse({"slug": "north_shop"}).tenants
    assert (tenant.subdomain, tenant.schema, tenant.role) == ("north-shop", "tenant_north_shop", "tenant_north_shop")
    assert (tenant.state, tenant.login, tenant.connection_limit, tenant.export) == ("present", False, -1, True)


def test_the_single_form_and_defaults_for_all():
    request = spec.parse({"name": "alpha", "plan": "pro", "state": "absent", "force": True, "export": False})
    (tenant,) = request.tenants
    assert (tenant.slug, tenant.plan, tenant.state, tenant.force, tenant.export) == (
        "alpha",
        "pro",
        "absent",
        True,
        False,
    )


@pytest.mark.parametrize(
    "slug",
    [
        'x"; drop schema public; --',
        *("", "Alpha", "a b", "a-b", "a" * 49, "_a", "a_", "%s", "a\0b", "a\n", "tenant;"),
        "\N{CYRILLIC SMALL LETTER A}lpha",
        *(None, True, ["a"]),
    ],
)
def test_a_bad_slug_is_a_sentence(slug):
    with pytest.raises(SlipwayError) as caught:
        parse({"slug": slug})
    assert "\n" not in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("entry", "word"),
    [
        ({"subdomain": "a.b"}, "subdomain"),
        ({"subdomain": "-a"}, "subdomain"),
        ({"subdomain": "*"}, "subdomain"),
        ({"custom_domain": "no dots"}, "domain"),
        ({"custom_domain": "*.example.org"}, "domain"),
        ({"state": "gone"}, "state"),
        ({"connection_limit": "many"}, "connection_limit"),
        ({"connection_limit": -2}, "connection_limit"),
        ({"statement_timeout": "1s; DROP TABLE x"}, "statement_timeout"),
        ({"columns": {"id": 1}}, "column"),
        ({"columns": {'x"; --': 1}}, "name"),
        ({"plan": ["a"]}, "plan"),
    ],
)
def test_a_bad_value_is_a_sentence(entry, word):
    with pytest.raises(SlipwayError, match=word):
        parse({"slug": "alpha", **entry})


@pytest.mark.parametrize(
    ("params", "word"),
    [
        ({"source": "elsewhere"}, "source"),
        ({"on_error": "panic"}, "on_error"),
        ({"application_grant": "all"}, "application_grant"),
        ({"lock_timeout": "soon"}, "lock_timeout"),
        ({"schema_prefix": "pg_"}, "reserved"),
        ({"role_prefix": "x" * 60}, "63 bytes"),
        ({"role_prefix": 'a"b'}, "not allowed"),
        ({"application_roles": ["public"]}, "application role"),
        ({"shared_schemas": ["a; b"]}, "not allowed"),
    ],
)
def test_a_bad_option_is_a_sentence(params, word):
    with pytest.raises(SlipwayError, match=word):
        parse({"slug": "alpha"}, **params)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"slug": "a"}, {"slug": "a"}),
        ({"slug": "a"}, {"slug": "b", "subdomain": "a"}),
        ({"slug": "a", "custom_domain": "x.org"}, {"slug": "b", "custom_domain": "X.org."}),
    ],
)
def test_duplicates_are_refused(one, other):
    with pytest.raises(SlipwayError, match="more than once"):
        parse(one, other)


@pytest.mark.parametrize(
    ("name", "sql", "word"),
    [
        ("init.sql", "SELECT 1", "no number"),
        ("0001_../x.sql", "SELECT 1", "no number"),
        ("0001_init.sql", " \n", "empty"),
        ("0001_init.sql", "BEGIN; SELECT 1; COMMIT", "its own BEGIN"),
        ("0001_init.sql", "SELECT 1; -- then\ncommit", "its own COMMIT"),
        ("0001_init.sql", "SELECT 1; /* a /* nested */ comment */ COMMIT", "its own COMMIT"),
        ("0001_init.sql", "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; END; END", "its own END"),
        ("0001_init.sql", "START TRANSACTION; SELECT 1", "its own START"),
        ("0001_init.sql", "\\connect other", "psql command"),
    ],
)
def test_a_bad_template_is_a_sentence(name, sql, word):
    with pytest.raises(SlipwayError, match=word):
        templates.check(Template(name, sql))


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO t VALUES ('a; COMMIT; b')",
        "-- COMMIT;\nSELECT 1",
        "/* BEGIN; */ SELECT 1",
        "/* a /* b; */ COMMIT; */ SELECT 1; /* COMMIT; COMMIT",
        "CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$ BEGIN; COMMIT; END $$",
        "CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $body$ x; BEGIN $$; COMMIT; END $body$",
        "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; END",
        "SAVEPOINT a; ROLLBACK TO a",
        'CREATE TABLE "a; COMMIT" ()',
        "SELECT E'it\\'s; COMMIT; '",
    ],
)
def test_a_good_template_passes(sql):
    assert templates.check(Template("0001_init.sql", sql))


def test_pending_templates():
    one, two, three = (Template(f"000{number}_t.sql", f"SELECT {number}") for number in (1, 2, 3))
    assert templates.pending([one, two], {}) == [one, two]
    assert templates.pending([one, two], {one.name: one.checksum}) == [two]
    with pytest.raises(SlipwayError, match=r"0002_t\.sql is new but comes before 0003_t\.sql"):
        templates.pending([one, two, three], {one.name: one.checksum, three.name: three.checksum})
    with pytest.raises(SlipwayError, match=r"0001_t\.sql was changed"):
        templates.pending([one], {one.name: two.checksum})
    with pytest.raises(SlipwayError, match="same number"):
        templates.parse_all(
            [{"name": "0001_a.sql", "sql": "SELECT 1"}, {"name": "0001_b.sql", "sql": "SELECT 1"}], None
        )
    with pytest.raises(SlipwayError, match="does not exist"):
        templates.parse_all([], "/nonexistent/templates")


def test_access_lists():
    held = acl.grants(['"we""ird"=r*w/owner', "=U/owner", "app=arwd/owner", "app=U/other"])
    assert held == {'we"ird': {"r", "w"}, acl.PUBLIC: {"U"}, "app": set("arwdU")}


def test_a_password_is_recognised_by_its_verifier():
    # from RFC 7677's example exchange: user "user", password "pencil"
    verifier = (
        "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY="
        ":wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
    )
    assert password.matches("pencil", verifier)
    assert not password.matches("pen", verifier)
    for useless in (None, "", "md5aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "SCRAM-SHA-256$4096:!$x:y"):
        assert not password.matches("pencil", useless)


def test_secrets_are_not_in_the_texts_of_objects():
    request = parse({"slug": "alpha", "login": True, "password": "tenant-secret"}, login_password="login-secret")
    assert "secret" not in repr(request)
