#!/usr/bin/python
# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: postgres_tenant_erase
short_description: Remove a tenant for good and certify what was there
version_added: 0.1.0
description:
  - Suspends the tenant, exports it unless told otherwise, and reads the export back. One transaction then counts what is
    there, removes the schema, the role and the rows, and writes a certificate into the audit table
    C(slipway.tenant_events).
  - The certificate says what was deleted, when and by whom, with the rows and a checksum of each table, and names every
    backup that still holds the tenant with the time until which its retention keeps it. It is also written to
    C(/var/lib/slipway/erasures/<stack>/), readable by root alone.
  - A run that is killed has erased nothing or everything. The next one finishes it and writes the file that is missing.
  - The work is done by the installed agent (role P(slipway.vps.agent#role)) in a systemd unit of its own, so it
    survives a lost connection.
author: Slipway contributors (!UNKNOWN)
extends_documentation_fragment:
  - slipway.vps.job
  - slipway.vps.postgres
  - slipway.vps.s3
  - slipway.vps.tenant
options:
  confirm:
    description: The slug once more. Nothing is erased without it.
    type: str
    default: ""
  export:
    description: Whether to export the tenant first, to where its exports lie.
    type: bool
    default: true
  operator:
    description: Who asked for it, for the certificate.
    type: str
    default: ""
  reason:
    description: Why, for the certificate, such as the number of the request.
    type: str
    default: ""
attributes:
  check_mode:
    description: Tells what would go and which backups would still hold it, and changes nothing.
    support: full
  diff_mode:
    description: Shows what would go.
    support: full
  idempotent:
    description: A tenant that is erased is reported with its certificate.
    support: full
seealso:
  - module: slipway.vps.postgres_tenant_export
"""

EXAMPLES = r"""
- name: Erase a tenant who asked for it
  slipway.vps.postgres_tenant_erase:
    stack: shop
    name: alpha
    confirm: alpha
    export: false
    operator: ann
    reason: request 2026-117
"""

RETURN = r"""
erasure:
  description: The certificate; in check mode what would go.
  returned: success
  type: dict
  contains:
    id:
      description: Id of the certificate.
      type: str
    erased_at:
      description: When.
      type: str
    erased_by:
      description: The operator as told, and the database user.
      type: dict
    deleted:
      description: What was deleted, one sentence for each.
      type: list
      elements: str
    schemas:
      description: Rows and checksums by table, and objects by sort, for each schema.
      type: dict
    rows:
      description: How many rows there were.
      type: int
    export:
      description: The export that was made first, and whether it equals what was erased.
      type: dict
    backups:
      description: What still holds the tenant, and until when it is kept.
      type: list
      elements: dict
    sha256:
      description: Digest of all other fields.
      type: str
path:
  description: The file of the certificate on the module's host.
  returned: success
  type: str
job:
  description: Id of the agent's job.
  returned: when the work was started
  type: str
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.slipway.vps.plugins.module_utils.agent import jobs
from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError
from ansible_collections.slipway.vps.plugins.module_utils.tenancy import erasure, parameters

OWN: dict[str, Any] = {
    "confirm": {"type": "str", "default": ""},
    "export": {"type": "bool", "default": True},
    "operator": {"type": "str", "default": ""},
    "reason": {"type": "str", "default": ""},
}
OPTIONS: dict[str, Any] = {**parameters.ARGUMENT_SPEC, **OWN, **jobs.ARGUMENT_SPEC}


def main() -> None:
    module = AnsibleModule(argument_spec=OPTIONS, supports_check_mode=True)
    try:
        module.exit_json(**run(module))
    except SlipwayError as error:
        module.fail_json(msg=str(error))


def run(module: AnsibleModule) -> dict[str, Any]:
    request = parameters.request(module.params, *OWN)
    if module.check_mode:
        found = erasure.plan(request)
        return {**found, "diff": {"before": found["erasure"] if found["changed"] else {}, "after": {}}}
    what = f"erasure of tenant {request['name']} of {request['stack']}"
    return {"changed": True, **jobs.submit("tenants.erase", request, what, module.params)}


if __name__ == "__main__":
    main()
