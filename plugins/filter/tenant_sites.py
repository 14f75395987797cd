# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.slipway.vps.plugins.filter.tenant_hosts import tenant_hosts

Entry = dict[str, Any]
KINDS = ("tenant", "domain")


def tenant_sites(
    tenants: Sequence[Mapping[str, Any]],
    stack: str,
    domain: str,
    open_site: Mapping[str, Any] | None = None,
    closed_site: Mapping[str, Any] | None = None,
    shared: Mapping[str, str] | None = None,
    taken: Collection[str] = (),
    verify: bool = True,
) -> dict[str, list[Entry]]:
    """Certificates and Nginx sites of tenants: a subdomain and a custom domain have one of each, so neither waits for
    the other. Where the subdomains share a certificate they are one server block, which loads fast however many."""
    if not domain:
        return {"certificates": [], "sites": [], "surplus": []}
    suspended = {str(tenant.get("slug")) for tenant in tenants if tenant.get("state") == "suspended"}
    certificates: list[Entry] = []
    sites: list[Entry] = []
    together: dict[bool, list[str]] = {False: [], True: []}
    for slug, kind, host, home in _each(tenants, domain, taken):
        closed = slug in suspended
        if shared and kind == "tenant":
            together[closed].append(host)
            continue
        name = f"{kind}-{stack}-{slug}"
        certificate = {"name": name, "domains": [host]}
        if kind == "domain":
            # nobody here could answer in the zone of the tenant's own domain
            certificate["challenge"] = "http"
            certificate.update({"same_address_as": home} if verify else {})
        certificates.append(certificate)
        site = {"name": name, "server_names": [host], "certificate_name": name}
        sites.append({**site, **((closed_site if closed else open_site) or {})})
    for closed, hosts in together.items():
        if hosts:
            name = f"tenants-{stack}{'-suspended' if closed else ''}"
            site = {"name": name, "server_names": sorted(hosts), "certificate_name": name, **(shared or {})}
            sites.insert(0, {**site, **((closed_site if closed else open_site) or {})})
    kept = {certificate["name"] for certificate in certificates}
    own = [f"{kind}-{stack}-{tenant['slug']}" for tenant in tenants for kind in KINDS]
    surplus = [{"name": name, "state": "absent"} for name in own if name not in kept]
    return {"certificates": certificates, "sites": sites, "surplus": surplus}


def _each(
    tenants: Sequence[Mapping[str, Any]], domain: str, taken: Collection[str]
) -> Iterator[tuple[str, str, str, str]]:
    """Slug, kind, host name and subdomain of each name; no name twice."""
    owners = dict.fromkeys(taken, "the stack itself")
    for tenant in tenant_hosts(tenants, domain):
        slug, hosts = tenant["slug"], tenant["hosts"]
        for kind, host in zip(KINDS, hosts, strict=False):
            if host in owners:
                raise AnsibleFilterError(
                    f"The host name {host} of tenant {slug} belongs to {owners[host]}. Give one of them another "
                    "subdomain or custom_domain."
                )
            owners[host] = f"tenant {slug}"
            yield slug, kind, host, hosts[0]


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"tenant_sites": tenant_sites}
