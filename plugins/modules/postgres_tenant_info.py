#!/usr/bin/python
# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: postgres_tenant_info
short_description: List the tenants of a PostgreSQL database
version_added: 0.1.0
description:
  - Lists the tenants that M(slipway.vps.postgres_tenant) made, with their state, domains, plan, schema and templates.
  - Asks the same number of queries whatever the number of tenants.
author: Slipway contributors (!UNKNOWN)
extends_documentation_fragment:
  - slipway.vps.attributes.read_only
  - slipway.vps.postgres
options:
  slugs:
    description: Only these tenants. The default is all.
    type: list
    elements: str
seealso:
  - module: slipway.vps.postgres_tenant
"""

EXAMPLES = r"""
- name: Read the tenants of the shop
  slipway.vps.postgres_tenant_info:
    login_container: shop-data-postgres-1
    login_db: shop
    login_user: shop
    login_password: "{{ stack_secrets.POSTGRES_PASSWORD }}"
  register: shop

- name: Show the ones that are suspended
  ansible.builtin.debug:
    msg: "{{ shop.tenants | selectattr('state', 'equalto', 'suspended') | map(attribute='slug') | list }}"
"""

RETURN = r"""
tenants:
  description: The tenants in the order of their slugs. Empty if the database has none.
  returned: success
  type: list
  elements: dict
  contains:
    slug:
      description: Short name.
      type: str
    state:
      description: V(present) or V(suspended).
      type: str
    subdomain:
      description: Its subdomain in C(public.tenants).
      type: str
    custom_domain:
      description: Its own domain, or null.
      type: str
    plan:
      description: The name of its plan, or null.
      type: str
    registry_id:
      description: The id of its row in C(public.tenants), or null if the row has gone.
      type: str
    schema:
      description: Its schema, or null if the schema has gone.
      type: str
    role:
      description: Its role, or null if the role has gone.
      type: str
    login:
      description: Whether the role may log in.
      type: bool
    connection_limit:
      description: Connections that the role may have, V(-1) for no limit.
      type: int
    tables:
      description: How many tables and views its schema has.
      type: int
    templates:
      description: The SQL templates it has run, in order.
      type: list
      elements: str
  sample:
    - slug: alpha
      state: present
      subdomain: alpha
      custom_domain: null
      plan: free
      registry_id: 5a4bb0bb-6b3c-4d39-8a5b-1b7d3b1f0d2e
      schema: tenant_alpha
      role: tenant_alpha
      login: false
      connection_limit: -1
      tables: 2
      templates: [0001_init.sql, 0002_orders.sql]
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError
from ansible_collections.slipway.vps.plugins.module_utils.postgres.options import ARGUMENT_SPEC
from ansible_collections.slipway.vps.plugins.module_utils.tenancy import info


def main() -> None:
    module = AnsibleModule(
        argument_spec={**ARGUMENT_SPEC, "slugs": {"type": "list", "elements": "str"}}, supports_check_mode=True
    )
    try:
        tenants = info.gather(module.params)
    except SlipwayError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, tenants=tenants)


if __name__ == "__main__":
    main()
