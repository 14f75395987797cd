#!/usr/bin/python
# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: postgres_tenant_export
short_description: Dump one tenant to S3 or a directory, with a manifest
version_added: 0.1.0
description:
  - Streams C(pg_dump) of the tenant's schema through zstd and, if asked, age to the destination. There is no temporary
    copy, and nothing of other tenants is in it.
  - The manifest holds the rows and a checksum of each table as of the dump's own snapshot, the SHA-256 of the dump, the
    tenant's row in C(public.tenants), its plan and the SQL templates that it has run. It is written last.
  - Exports are kept until somebody removes them. No retention deletes them.
  - The work is done by the installed agent (role P(slipway.vps.agent#role)) in a systemd unit of its own, so it
    survives a lost connection.
author: Slipway contributors (!UNKNOWN)
extends_documentation_fragment:
  - slipway.vps.job
  - slipway.vps.postgres
  - slipway.vps.s3
  - slipway.vps.tenant
options:
  verify:
    description: Whether to read the export back in full, through C(pg_restore).
    type: bool
    default: true
attributes:
  check_mode:
    description: Tells what would be exported and where to. The database and the destination are asked.
    support: full
  diff_mode:
    description: An export has no state to compare.
    support: none
  idempotent:
    description: Every call makes a new export.
    support: none
seealso:
  - module: slipway.vps.postgres_tenant_import
  - module: slipway.vps.postgres_tenant_erase
"""

EXAMPLES = r"""
- name: Export a tenant to where the stack's backups go
  slipway.vps.postgres_tenant_export:
    stack: shop
    name: alpha
  register: result

- name: Hand a tenant its data
  slipway.vps.postgres_tenant_export:
    stack: shop
    name: alpha
    local_directory: /srv/handover
    age_recipients:
      - age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p
"""

RETURN = r"""
export:
  description: The manifest and where it lies; in check mode what would be exported.
  returned: success
  type: dict
  contains:
    id:
      description: Id of the export; ids sort by time.
      type: str
    places:
      description: The folders of the copies.
      type: list
      elements: str
    verified:
      description: Whether it was read back in full and parsed. What is encrypted for somebody else cannot be.
      type: bool
    tables:
      description: Rows by table at the moment of the dump.
      type: dict
    details:
      description: The tenant as it is on record (RV(ignore:tenant)), and checksums by table (RV(ignore:content)).
      type: dict
job:
  description: Id of the agent's job.
  returned: when the work was started
  type: str
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.slipway.vps.plugins.module_utils.agent import jobs
from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError
from ansible_collections.slipway.vps.plugins.module_utils.tenancy import export, parameters

OPTIONS: dict[str, Any] = {
    **parameters.ARGUMENT_SPEC,
    "verify": {"type": "bool", "default": True},
    **jobs.ARGUMENT_SPEC,
}


def main() -> None:
    module = AnsibleModule(argument_spec=OPTIONS, supports_check_mode=True)
    try:
        module.exit_json(**run(module))
    except SlipwayError as error:
        module.fail_json(msg=str(error))


def run(module: AnsibleModule) -> dict[str, Any]:
    request = parameters.request(module.params, "verify")
    if module.check_mode:
        return export.plan(request)
    what = f"export of tenant {request['name']} of {request['stack']}"
    return {"changed": True, **jobs.submit("tenants.export", request, what, module.params)}


if __name__ == "__main__":
    main()
