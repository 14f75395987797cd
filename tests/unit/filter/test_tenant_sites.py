# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.slipway.vps.plugins.filter.tenant_sites import tenant_sites

TENANTS = [
    {"slug": "alpha", "custom_domain": "Books.test."},
    {"slug": "north_west", "state": "suspended"},
    {"slug": "gone", "state": "absent"},
]
MORE = {"open_site": {"include": "locations"}, "closed_site": {"extra": "return 503;"}}


def test_each_name_has_a_certificate_and_a_site_of_its_own():
    found = tenant_sites(TENANTS, "shop", "shop.test", **MORE)
    assert found["certificates"] == [
        {"name": "tenant-shop-alpha", "domains": ["alpha.shop.test"]},
        {
            "name": "domain-shop-alpha",
            "domains": ["books.test"],
            "challenge": "http",
            "same_address_as": "alpha.shop.test",
        },
        {"name": "tenant-shop-north_west", "domains": ["north-west.shop.test"]},
    ]
    assert [(site["name"], site["server_names"], site["certificate_name"]) for site in found["sites"]] == [
        ("tenant-shop-alpha", ["alpha.shop.test"], "tenant-shop-alpha"),
        ("domain-shop-alpha", ["books.test"], "domain-shop-alpha"),
        ("tenant-shop-north_west", ["north-west.shop.test"], "tenant-shop-north_west"),
    ]
    assert [site.get("include") for site in found["sites"]] == ["locations", "locations", None]
    assert found["sites"][2]["extra"] == "return 503;"
    assert [entry["name"] for entry in found["surplus"]] == [
        "domain-shop-north_west",
        "tenant-shop-gone",
        "domain-shop-gone",
    ]


def test_domains_that_need_not_lead_here_are_not_looked_at():
    (_sub, own, _other) = tenant_sites(TENANTS, "shop", "shop.test", verify=False)["certificates"]
    assert "same_address_as" not in own


@pytest.mark.parametrize(
    "shared", [{"certificate_name": "wildcard-shop"}, {"certificate": "/c", "certificate_key": "/k"}]
)
def test_five_hundred_subdomains_with_one_certificate_are_two_sites(shared):
    tenants = [*TENANTS, *({"slug": f"t{number}"} for number in range(500))]
    found = tenant_sites(tenants, "shop", "shop.test", shared=shared, **MORE)
    closed, served, own = found["sites"]
    assert len(served["server_names"]) == 501
    assert served["include"] == "locations"
    assert closed["server_names"] == ["north-west.shop.test"]
    assert closed["extra"] == "return 503;"
    assert shared.items() <= served.items()
    assert shared.items() <= closed.items()
    assert [entry["name"] for entry in found["certificates"]] == ["domain-shop-alpha"]
    assert own["certificate_name"] == "domain-shop-alpha"
    assert len(found["surplus"]) == 2 * 503 - 1


def test_a_name_belongs_to_one_tenant_only_and_none_of_the_stacks_to_any():
    with pytest.raises(AnsibleFilterError, match=r"api\.shop\.test of tenant api belongs to the stack itself"):
        tenant_sites([{"slug": "api"}], "shop", "shop.test", taken=["api.shop.test"])
    twice = [{"slug": "a", "custom_domain": "x.test"}, {"slug": "b", "custom_domain": "X.test"}]
    with pytest.raises(AnsibleFilterError, match=r"x\.test of tenant b belongs to tenant a"):
        tenant_sites(twice, "shop", "shop.test")


def test_without_a_domain_there_is_nothing():
    assert tenant_sites(TENANTS, "shop", "") == {"certificates": [], "sites": [], "surplus": []}
