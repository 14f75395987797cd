# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.slipway.vps.plugins.module_utils.common import validate
from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError

BAD_SLUGS = ['x"; drop schema public; --', "", "A", "a-b", "../etc", "a" * 49, "_a", "ä", "a\n"]
BAD_STACKS = ["", "Shop", "1shop", "shop_", "shop/../x", "-shop", "shop-", "a" * 33, "shop\n"]
BAD_DOMAINS = [
    "shop",
    "-a.test",
    "a-.test",
    "a..test",
    "a b.test",
    "a.test;",
    "a" * 64 + ".test",
    "x/.test",
    "a.test\n",
]


@pytest.mark.parametrize("value", BAD_SLUGS)
def test_bad_slugs_are_refused(value):
    with pytest.raises(SlipwayError, match="tenant slug"):
        validate.slug(value)


@pytest.mark.parametrize("value", BAD_STACKS)
def test_bad_stack_names_are_refused(value):
    with pytest.raises(SlipwayError, match="stack name"):
        validate.stack_name(value)


@pytest.mark.parametrize("value", BAD_DOMAINS)
def test_bad_domains_are_refused(value):
    with pytest.raises(SlipwayError, match="domain"):
        validate.domain(value)


def test_good_names_pass():
    assert validate.slug("alpha_1") == "alpha_1"
    assert validate.stack_name("shop-eu") == "shop-eu"
    assert validate.domain("API.Shop.test.") == "api.shop.test"
    assert validate.identifier("tenant_alpha") == "tenant_alpha"


def test_bad_identifiers_are_refused():
    with pytest.raises(SlipwayError, match="PostgreSQL name"):
        validate.identifier('a"b')
