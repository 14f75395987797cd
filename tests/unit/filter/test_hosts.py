# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.slipway.vps.plugins.filter.stack_hosts import stack_hosts
from ansible_collections.slipway.vps.plugins.filter.tenant_hosts import tenant_hosts


def test_the_hosts_of_a_stack_are_its_own_and_each_once() -> None:
    routes = [
        {"service": "web"},
        {"host": "API.shop.test"},
        {"host": "tenants"},
        {"host": "api.shop.test", "path": "/x"},
    ]
    assert stack_hosts(routes, "shop.test") == ["api.shop.test", "shop.test"]


def test_a_route_without_any_host_is_refused() -> None:
    with pytest.raises(AnsibleFilterError, match="Set stack_domain"):
        stack_hosts([{"service": "web"}])


def test_tenants_have_a_subdomain_and_maybe_a_domain_of_their_own() -> None:
    tenants = [
        {"slug": "north_west"},
        {"slug": "bravo", "subdomain": "b", "custom_domain": "Books.test."},
        {"slug": "charlie", "state": "suspended"},
        {"slug": "gone", "state": "absent"},
    ]
    assert tenant_hosts(tenants, "shop.test") == [
        {"slug": "north_west", "hosts": ["north-west.shop.test"]},
        {"slug": "bravo", "hosts": ["b.shop.test", "books.test"]},
        {"slug": "charlie", "hosts": ["charlie.shop.test"]},
    ]


def test_what_is_missing_is_named() -> None:
    with pytest.raises(AnsibleFilterError, match="Set tenants_domain"):
        tenant_hosts([], "")
    with pytest.raises(AnsibleFilterError, match="no slug"):
        tenant_hosts([{"plan": "free"}], "shop.test")
