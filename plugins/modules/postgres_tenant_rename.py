#!/usr/bin/python
# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: postgres_tenant_rename
short_description: Give a tenant another slug, schema or role
version_added: 0.1.0
description:
  - Renames the schema, the role, the row in C(public.tenants) and what is on record about the tenant in one transaction.
    No row of its data is touched, so it takes a moment whatever its size, and grants, password and search path follow.
  - Names that were made of the old slug are made of the new one. The custom domain stays.
  - The tenant has to be listed under its new slug from then on. Its host names and its certificate follow with the next
    run of role P(slipway.vps.tenants#role).
author: Slipway contributors (!UNKNOWN)
extends_documentation_fragment:
  - slipway.vps.postgres
options:
  stack:
    description:
      - Name of the stack that the tenant belongs to. Its database is then the one that role P(slipway.vps.tenants#role)
        installed (C(/etc/slipway/tenants/<stack>.json)), and the options of the connection are unused.
    type: str
  name:
    description: Slug of the tenant.
    type: str
    required: true
  new_name:
    description: Its new slug. Left out, the slug stays.
    type: str
  new_schema:
    description: New name of its schema. Left out, it follows the slug.
    type: str
  new_role:
    description: New name of its role. Left out, it follows the slug.
    type: str
  subdomain:
    description: New DNS label. Left out, it follows the slug if it was made of it.
    type: str
  password:
    description:
      - Password of the role, set anew as SCRAM. It is needed where the stored one is an md5 hash, which the server deletes
        when a role is renamed; without it such a tenant is not renamed.
    type: str
attributes:
  check_mode:
    description: Tells what would be renamed. That a password would be lost is told where hashes may be read.
    support: full
  diff_mode:
    description: Shows the names.
    support: full
  idempotent:
    description: A tenant that has the new names is left alone.
    support: full
notes:
  - Text in functions that names the old schema is not changed; such functions are named in a warning.
seealso:
  - module: slipway.vps.postgres_tenant
"""

EXAMPLES = r"""
- name: A tenant has a new name
  slipway.vps.postgres_tenant_rename:
    stack: shop
    name: alpha
    new_name: beta

- name: Move a tenant to another schema
  slipway.vps.postgres_tenant_rename:
    login_host: db.example.org
    login_db: shop
    login_user: shop_owner
    login_password: "{{ database_password }}"
    name: alpha
    new_schema: archive_alpha
"""

RETURN = r"""
tenant:
  description: Its names now.
  returned: success
  type: dict
  sample: {slug: beta, schema: tenant_beta, role: tenant_beta, subdomain: beta}
actions:
  description: What was renamed, one sentence for each.
  returned: success
  type: list
  elements: str
  sample: [rename tenant alpha to beta]
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError
from ansible_collections.slipway.vps.plugins.module_utils.postgres.options import ARGUMENT_SPEC
from ansible_collections.slipway.vps.plugins.module_utils.tenancy import rename

OWN = {
    "stack": {"type": "str"},
    "name": {"type": "str", "required": True},
    "new_name": {"type": "str"},
    "new_schema": {"type": "str"},
    "new_role": {"type": "str"},
    "subdomain": {"type": "str"},
    "password": {"type": "str", "no_log": True},
}


def main() -> None:
    module = AnsibleModule(argument_spec={**ARGUMENT_SPEC, **OWN}, supports_check_mode=True)
    try:
        result = rename.run(module.params, module.check_mode)
    except SlipwayError as error:
        module.fail_json(msg=str(error))
    for warning in result.pop("warnings"):
        module.warn(warning)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
