#!/usr/bin/python
# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: stack_backup
short_description: Back up what a stack holds beside its database
version_added: 0.1.0
description:
  - Streams a snapshot of Redis, the stack's volumes and folders, or its state through zstd and, if asked, age into S3
    multipart uploads and a copy on the host, with the same manifest and proof as M(slipway.vps.postgres_backup).
  - The state holds secrets. It is stored encrypted or not at all.
  - The work is done by the installed agent (role P(slipway.vps.agent#role)) in a systemd unit of its own, so it
    survives a lost connection.
author: Slipway contributors (!UNKNOWN)
extends_documentation_fragment:
  - slipway.vps.job
options:
  stack:
    description: Name of the stack, whose configuration role P(slipway.vps.backup#role) installed.
    type: str
    required: true
  kind:
    description:
      - What of the stack. V(redis) is its Redis, V(files) its volumes, project files and named folders, V(state) its
        releases, secrets, configuration and certificates.
    type: str
    choices: [redis, files, state]
    required: true
  verify:
    description: Whether to read the new backup back in full at once.
    type: bool
    default: false
attributes:
  check_mode:
    description: Tells what would be backed up and where to, without doing it. The destination is asked.
    support: full
  diff_mode:
    description: A backup has no state to compare.
    support: none
  idempotent:
    description: Every call makes a new backup.
    support: none
seealso:
  - module: slipway.vps.stack_backup_info
  - module: slipway.vps.stack_restore
  - module: slipway.vps.postgres_backup
"""

EXAMPLES = r"""
- name: Back the uploads up before something risky
  slipway.vps.stack_backup:
    stack: shop
    kind: files
    verify: true
"""

RETURN = r"""
backup:
  description: The manifest, as C(docs/back-up.md) describes it.
  returned: when the backup was made
  type: dict
plan:
  description: What would be done.
  returned: in check mode
  type: dict
deleted:
  description: Old backups that the retention deleted, as store and id.
  returned: when the backup was made
  type: list
  elements: str
verified:
  description: Id and time of the proof.
  returned: when O(verify=true) and the backup was made
  type: dict
job:
  description: Id of the agent's job.
  returned: when the work was started
  type: str
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.slipway.vps.plugins.module_utils.agent import jobs
from ansible_collections.slipway.vps.plugins.module_utils.backup import engine, parameters
from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError

OPTIONS: dict[str, Any] = {
    **parameters.KIND_SPEC,
    "verify": {"type": "bool", "default": False},
    **jobs.ARGUMENT_SPEC,
}


def main() -> None:
    module = AnsibleModule(argument_spec=OPTIONS, supports_check_mode=True)
    try:
        module.exit_json(**run(module))
    except SlipwayError as error:
        module.fail_json(msg=str(error))


def run(module: AnsibleModule) -> dict[str, Any]:
    request = {name: module.params[name] for name in ("stack", "kind", "verify")}
    spec = parameters.specification(request)
    if module.check_mode:
        return {"changed": True, "plan": engine.plan(spec)}
    what = f"backup of {spec.stack} ({spec.kind})"
    found = {"changed": True, **jobs.submit("backup.run", request, what, module.params)}
    for warning in found.pop("warnings", []):
        module.warn(warning)
    return found


if __name__ == "__main__":
    main()
