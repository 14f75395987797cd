#!/usr/bin/python
# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: postgres_tenant_import
short_description: Make a tenant of an export, under the same or another name
version_added: 0.1.0
description:
  - Creates the tenant's role, row, grants and schema and fills it from an export of M(slipway.vps.postgres_tenant_export),
    all in one transaction. It is committed only if the dump has its SHA-256 and every table has the rows and the
    checksum that the manifest says. So a tenant is imported in full or not at all.
  - What is imported belongs to the new tenant's role, whoever owned it before, because the dump's SQL runs
    as that role. Import only what your own servers exported, since a forged archive could take the role off again.
  - While the transaction runs, the schema has the name that it had where it was exported, because C(pg_restore) cannot
    rename. A living schema of that name is renamed for that time inside the same transaction; nobody sees it.
  - What the tenant refers to outside of its schema, such as extensions and shared tables, has to be there.
  - The work is done by the installed agent (role P(slipway.vps.agent#role)) in a systemd unit of its own, so it
    survives a lost connection.
author: Slipway contributors (!UNKNOWN)
extends_documentation_fragment:
  - slipway.vps.job
  - slipway.vps.postgres
  - slipway.vps.s3
  - slipway.vps.tenant
options:
  from_stack:
    description: The stack that the export is of, if it is another one.
    type: str
  from_name:
    description: The slug that the export is of, if it is another one.
    type: str
  id:
    description: Id of the export, or V(latest).
    type: str
    default: latest
  replace:
    description:
      - Allow a tenant that is there to be replaced. Its schema is kept under the name that RV(import.before) tells.
    type: bool
    default: false
  state:
    description: The state of the new tenant. Left out, the one that was exported.
    type: str
    choices: [present, suspended]
  subdomain:
    description: DNS label. Left out, the exported one under the same O(name), else O(name) with hyphens for underscores.
    type: str
  custom_domain:
    description: Host name of its own. Left out, the exported one under the same O(name), else none.
    type: str
  plan:
    description: A plan in C(public.plans). Left out, the exported one.
    type: str
  login:
    description: Whether the tenant's role may log in. Passwords are in no export.
    type: bool
  password:
    description: Password of the role, for O(login=true).
    type: str
  columns:
    description: Further columns of C(public.tenants). Left out, the exported ones as far as the table has them.
    type: dict
  application_roles:
    description: Database users of the application. Left out, as role P(slipway.vps.tenants#role) installed it.
    type: list
    elements: str
  application_grant:
    description: See M(slipway.vps.postgres_tenant).
    type: str
    choices: [grants, membership]
  shared_schemas:
    description: See M(slipway.vps.postgres_tenant).
    type: list
    elements: str
  schema_prefix:
    description: See M(slipway.vps.postgres_tenant).
    type: str
  role_prefix:
    description: See M(slipway.vps.postgres_tenant).
    type: str
attributes:
  check_mode:
    description: Finds the export and its key, and tells what would be made.
    support: full
  diff_mode:
    description: Rows are not compared.
    support: none
  idempotent:
    description: A tenant that is there is refused, or replaced.
    support: none
seealso:
  - module: slipway.vps.postgres_tenant_export
"""

EXAMPLES = r"""
- name: Bring a tenant back from its newest export
  slipway.vps.postgres_tenant_import:
    stack: shop
    name: alpha

- name: A copy to try things with
  slipway.vps.postgres_tenant_import:
    stack: shop
    name: alpha_trial
    from_name: alpha

- name: Take a tenant over from another server that backs up to the same bucket
  slipway.vps.postgres_tenant_import:
    stack: shop-eu
    name: alpha
    from_stack: shop
"""

RETURN = r"""
import:
  description: What was imported, or would be in check mode.
  returned: success
  type: dict
  contains:
    id:
      description: Id of the export.
      type: str
    schema:
      description: The tenant's schema.
      type: str
    role:
      description: Its role.
      type: str
    from:
      description: Stack, slug and schema that the export is of.
      type: dict
    tables:
      description: How many tables it has.
      type: int
    rows:
      description: How many rows they have.
      type: int
    before:
      description: The schema that what was there is kept as, or null.
      type: str
    actions:
      description: What was done beside, one sentence for each.
      type: list
      elements: str
    seconds:
      description: How long it took.
      type: float
job:
  description: Id of the agent's job.
  returned: when the work was started
  type: str
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.slipway.vps.plugins.module_utils.agent import jobs
from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError
from ansible_collections.slipway.vps.plugins.module_utils.tenancy import imports, parameters

OWN: dict[str, Any] = {
    "from_stack": {"type": "str"},
    "from_name": {"type": "str"},
    "id": {"type": "str", "default": "latest"},
    "replace": {"type": "bool", "default": False},
    "state": {"type": "str", "choices": ["present", "suspended"]},
    "subdomain": {"type": "str"},
    "custom_domain": {"type": "str"},
    "plan": {"type": "str"},
    "login": {"type": "bool"},
    "password": {"type": "str", "no_log": True},
    "columns": {"type": "dict"},
}
OPTIONS: dict[str, Any] = {**parameters.ARGUMENT_SPEC, **parameters.RULES, **OWN, **jobs.ARGUMENT_SPEC}


def main() -> None:
    module = AnsibleModule(argument_spec=OPTIONS, supports_check_mode=True)
    try:
        module.exit_json(**run(module))
    except SlipwayError as error:
        module.fail_json(msg=str(error))


def run(module: AnsibleModule) -> dict[str, Any]:
    request = parameters.request(module.params, *OWN)
    request["identity_file"] = module.params["age_identity_file"]
    if module.check_mode:
        return imports.plan(request)
    what = f"import of tenant {request['name']} into {request['stack']}"
    found = {"changed": True, **jobs.submit("tenants.import", request, what, module.params)}
    for warning in found.pop("warnings", []):
        module.warn(warning)
    return found


if __name__ == "__main__":
    main()
