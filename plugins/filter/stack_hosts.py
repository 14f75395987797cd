# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError

TENANTS = "tenants"


def stack_hosts(routes: Sequence[Mapping[str, Any]], domain: str = "") -> list[str]:
    """The host names of a stack's own routes; those that all tenants share are not among them."""
    hosts = {str(route.get("host") or domain).lower().rstrip(".") for route in routes}
    if "" in hosts:
        raise AnsibleFilterError("A route has no host and there is no domain. Set stack_domain, or host in the route.")
    return sorted(hosts - {TENANTS})


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"stack_hosts": stack_hosts}
