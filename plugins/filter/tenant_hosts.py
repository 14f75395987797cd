# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError


def tenant_hosts(tenants: Sequence[Mapping[str, Any]], domain: str) -> list[dict[str, Any]]:
    """Slug and host names of each tenant that is to exist: its subdomain, and its own domain if it has one."""
    if not domain:
        raise AnsibleFilterError("The tenants have no domain to be subdomains of. Set tenants_domain.")
    return [_hosts(tenant, domain) for tenant in tenants if tenant.get("state", "present") != "absent"]


def _hosts(tenant: Mapping[str, Any], domain: str) -> dict[str, Any]:
    slug = str(tenant.get("slug") or "")
    if not slug:
        raise AnsibleFilterError("A tenant has no slug. Each entry of tenants_list needs one.")
    label = str(tenant.get("subdomain") or slug.replace("_", "-"))
    names = [f"{label}.{domain}", str(tenant.get("custom_domain") or "")]
    return {"slug": slug, "hosts": [name.lower().rstrip(".") for name in names if name]}


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"tenant_hosts": tenant_hosts}
