# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whatever stands where a name is expected: it is never executed, and what is refused is refused in a sentence."""

from __future__ import annotations

import contextlib
import os
import re
import unicodedata

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ansible_collections.slipway.vps.plugins.module_utils.common import validate
from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError
from ansible_collections.slipway.vps.plugins.module_utils.tenancy import spec

SQL = [
    "x'; DROP TABLE public.witness; --",
    'x"; DROP TABLE public.witness; --',
    "x; DROP SCHEMA public CASCADE",
    "$$; DROP TABLE public.witness; $$",
    "x') ON CONFLICT DO NOTHING; DELETE FROM public.witness; --",
    "E'\\'; DELETE FROM public.witness; --",
    "%s %(slug)s {} {slug} %",
    "\\'; DELETE FROM public.witness; --",
    "a\0b",
    "\ud800",
    "x\n; return 200;",
]
RESERVED = [
    "public",
    "slipway",
    "information_schema",
    "pg_catalog",
    "pg_toast",
    "pg_temp_1",
    "pg_shop",
    "none",
    "postgres",
]
WILDCARDS = ["*", "*.example.org", "a.*.org", "%", "_", "?", ".*"]
# Letters that look, or turn in lower case, like those of "kiosk": Kelvin sign, dotless i, long s, Cyrillic, full width.
LOOK_ALIKES = str.maketrans(
    {"k": "\N{KELVIN SIGN}", "i": "\N{LATIN SMALL LETTER DOTLESS I}", "s": "\N{LATIN SMALL LETTER LONG S}"}
)
TWINS = [
    "kiosk".translate(LOOK_ALIKES),
    "\N{KELVIN SIGN}iosk",
    "ki\N{CYRILLIC SMALL LETTER O}sk",
    "\N{FULLWIDTH LATIN SMALL LETTER K}iosk",
]
LONG = ["a" * length for length in (48, 49, 56, 57, 63, 64, 253, 254)]

# Examples that need a database are fewer in the short form.
FULL = bool(os.environ.get("SLIPWAY_LONG"))

hostile = st.one_of(
    st.sampled_from([*SQL, *RESERVED, *WILDCARDS, *TWINS, *LONG]),
    st.text(max_size=70),
    st.text(alphabet="abz09_-.", max_size=70),
    st.builds(str.__add__, st.sampled_from(SQL), st.text(max_size=5)),
)
prefixes = st.sampled_from(["tenant_", "t", "p", "publi", "pg", "n", "slipwa", "x" * 15, "x" * 40])


def refusal(error):
    """What a person gets to read."""
    text = str(error)
    assert "\n" not in text
    assert "\0" not in text
    assert error.hint
    assert text.encode()  # it can be printed
    return text


@given(slug=hostile, schema_prefix=prefixes, role_prefix=prefixes)
@example(slug="g_shop", schema_prefix="p", role_prefix="tenant_")
@example(slug="one", schema_prefix="tenant_", role_prefix="n")
@settings(max_examples=400, deadline=None)
def test_a_slug_is_plain_or_refused(slug, schema_prefix, role_prefix):
    params = {"tenants": [{"slug": slug}], "schema_prefix": schema_prefix, "role_prefix": role_prefix}
    try:
        (tenant,) = spec.parse(params).tenants
    except SlipwayError as error:
        refusal(error)
        return
    assert re.fullmatch(r"[a-z0-9_]{1,48}", slug)
    for name, prefix in ((tenant.schema, schema_prefix), (tenant.role, role_prefix)):
        assert name == prefix + slug  # so different slugs have different names
        assert len(name.encode()) <= 63  # and none is cut off to another's
        assert not name.startswith("pg_")
        assert name not in RESERVED[:3]
    assert tenant.role != "none"


@given(st.lists(st.from_regex(r"[a-c]_?[a-c]?", fullmatch=True), min_size=2, max_size=6))
@settings(max_examples=200, deadline=None)
def test_no_two_tenants_share_a_name(slugs):
    try:
        tenants = spec.parse({"tenants": [{"slug": slug} for slug in slugs]}).tenants
    except SlipwayError as error:
        refusal(error)
        return
    for names in ([t.schema for t in tenants], [t.role for t in tenants], [t.subdomain for t in tenants]):
        assert len(set(names)) == len(names)


@given(st.one_of(hostile, st.builds("{}.example.org".format, hostile), st.builds("shop.{}".format, hostile)))
@example("\N{KELVIN SIGN}iosk.example.org")
@example("127.0.0.1")
@example("0.0-0")
@example("shop.example.org.")
@example("Shop.Example.ORG")
@settings(max_examples=400, deadline=None)
def test_a_domain_is_a_host_name_or_refused(text):
    try:
        name = validate.domain(text)
    except SlipwayError as error:
        refusal(error)
        return
    assert text.isascii()
    assert name == text.lower().rstrip(".")
    assert re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)*\.[a-z0-9-]*[a-z][a-z0-9-]*", name)
    assert len(name) <= 253
    assert name == unicodedata.normalize("NFKC", name)


@given(
    st.fixed_dictionaries(
        {},
        optional=dict.fromkeys(
            ("subdomain", "custom_domain", "plan", "password", "state", "statement_timeout"), hostile
        ),
    )
)
@settings(max_examples=300, deadline=None)
def test_an_entry_is_read_or_refused(entry):
    with contextlib.suppress(SlipwayError):
        try:
            (tenant,) = spec.parse({"tenants": [{"slug": "alpha", **entry}]}).tenants
        except SlipwayError as error:
            refusal(error)
            raise
        assert validate.LABEL.fullmatch(tenant.subdomain)
        assert tenant.state in spec.STATES


@pytest.fixture
def witnessed(shop):
    """A database in which anything that was executed would show."""
    shop.query("CREATE TABLE public.witness AS SELECT 1 AS n; ALTER TABLE public.tenants ADD COLUMN note text")
    return shop


def state(shop):
    """All that hostile SQL could have made or removed."""
    return (
        shop.query("SELECT n FROM public.witness"),
        shop.query("SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' ORDER BY 1"),
        shop.query("SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY 1"),
        shop.query("SELECT count(*) FROM pg_roles WHERE rolsuper"),
    )


@given(
    data=st.fixed_dictionaries(
        {"columns": st.fixed_dictionaries({"note": hostile})}, optional={"plan": hostile, "password": hostile}
    )
)
@example(data={"columns": {"note": SQL[0]}, "plan": SQL[0], "password": SQL[0]})
@example(data={"columns": {"note": SQL[3]}, "plan": SQL[4], "password": SQL[3]})
@example(data={"columns": {"note": SQL[5]}, "password": SQL[7]})
@example(data={"columns": {"note": SQL[6]}, "password": SQL[6]})
@settings(max_examples=60 if FULL else 12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_value_is_stored_as_it_is_or_refused(witnessed, data):
    shop = witnessed
    shop.converge({"slug": "alpha", "login": True, "password": "alpha-secret"})
    before = state(shop)
    try:
        (tenant,) = shop.converge({"slug": "alpha", "login": True, **data})["tenants"]
    except SlipwayError as error:
        refusal(error)
    else:
        if tenant["error"]:
            assert "\n" not in tenant["error"]
        else:
            assert shop.query("SELECT note FROM public.tenants") == [(data["columns"]["note"],)]
    assert state(shop) == before


@given(
    rows=st.lists(
        hostile.filter(lambda text: "\0" not in text and text.isprintable()), min_size=1, max_size=8, unique=True
    )
)
@settings(max_examples=25 if FULL else 8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_hostile_sign_up_is_a_tenant_or_a_reason(witnessed, rows):
    shop = witnessed
    connection = shop.server.connect(shop.database)
    connection.cursor().execute("DELETE FROM public.tenants")
    connection.cursor().execute("INSERT INTO public.tenants (subdomain) SELECT unnest(%s)", (rows,))
    connection.close()
    result = shop.converge(source="registry", templates=[])
    assert len(result["tenants"]) == len(rows)
    for tenant in result["tenants"]:
        assert bool(tenant["error"]) is tenant["rejected"]
        if tenant["error"]:
            assert "\n" not in tenant["error"]
        else:
            assert tenant["schema"] == f"tenant_{tenant['slug']}"
    schemas = {row[0] for row in state(shop)[1]}
    assert {tenant["schema"] for tenant in result["tenants"] if tenant["schema"]} <= schemas
    assert all(re.fullmatch(r"tenant_[a-z0-9_]{1,48}|public|slipway|information_schema", schema) for schema in schemas)
    assert state(shop)[0] == [(1,)]
    assert shop.converge(source="registry", templates=[])["changed"] is False
