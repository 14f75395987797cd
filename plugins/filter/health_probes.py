# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later


from __future__ import annotations

DOCUMENTATION = r"""
name: health_probes
short_description: Make probes from the variables of a stack
version_added: 0.1.0
author: Slipway contributors (!UNKNOWN)
description:
  - Turns what the inventory says about a stack into probes for M(slipway.vps.health_probe).
  - Routes and tenants become HTTPS probes and certificate probes, the database, Redis, containers, units and disks
    become one probe each.
positional: _input
options:
  _input:
    description:
      - Mapping of variables. The names are those of role C(slipway.vps.stack), C(tenant_hosts) (what filter
        P(slipway.vps.tenant_hosts#filter) makes), and the C(health_*) variables of playbook C(slipway.vps.health).
      - Variables that are missing make no probes.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Probe what the inventory describes
  slipway.vps.health_probe:
    probes: "{{ ({'stack_name': stack_name, 'stack_domain': stack_domain, 'stack_routes': stack_routes}
                | slipway.vps.health_probes).inside }}"
"""

RETURN = r"""
_value:
  description:
    - A mapping with C(inside), the probes to run on the host, C(outside), the probes to run on the controller, and
      C(sites), rows of tenant, URL and C(curl) command.
  type: dict
"""

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError
from ansible_collections.slipway.vps.plugins.module_utils.probe.derive import derive


def health_probes(variables: Any) -> dict[str, Any]:
    if not isinstance(variables, Mapping):
        raise AnsibleFilterError(
            f"slipway.vps.health_probes needs a mapping of variables, not {type(variables).__name__}."
        )
    try:
        return derive(variables)
    except SlipwayError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"health_probes": health_probes}
