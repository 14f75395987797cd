#!/usr/bin/python
# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: stack_restore_drill
short_description: Prove a backup by restoring it where nothing serves
version_added: 0.1.0
description:
  - Restores a backup of the database into a throw-away container of the same image and major version that is on no
    network, compares tables, rows, extensions and digests of the schema with the manifest, and asks the check queries
    of role P(slipway.vps.backup#role) (C(backup_drill_queries)).
  - A snapshot of Redis is loaded by a throw-away server and its keys are counted; archives of files and state are
    unpacked beside and every checksum compared.
  - The result is stored beside the backup as a document of its own, and noted on the host for the probe
    C(restore_age). A drill that fails is recorded as failed, and the module fails with the reason.
  - Everything that the drill made is removed again.
  - An encrypted backup needs its key on the host (C(backup_age_identity) of the role).
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
    description: What of the stack. V(postgres) is its database; see M(slipway.vps.stack_backup) for the others.
    type: str
    choices: [postgres, redis, files, state]
    default: postgres
  id:
    description: Id of the backup as M(slipway.vps.postgres_backup_info) or M(slipway.vps.stack_backup_info) lists it.
    type: str
    default: latest
attributes:
  check_mode:
    description: Finds the backup and tells what would be restored.
    support: full
  diff_mode:
    description: A drill has no state to compare.
    support: none
  idempotent:
    description: Every call makes a drill and stores its result.
    support: none
seealso:
  - module: slipway.vps.postgres_backup_info
  - module: slipway.vps.stack_backup_info
"""

EXAMPLES = r"""
- name: Prove the newest backup of the database
  slipway.vps.stack_restore_drill:
    stack: shop
  register: found

- name: Refuse to go on if a restore takes longer than the team promised
  ansible.builtin.assert:
    that: found.drill.restore_seconds < 1800
"""

RETURN = r"""
drill:
  description: The document, as C(docs/restore-drill.md) describes it; in check mode what would be restored.
  returned: success
  type: dict
  contains:
    backup:
      description: Id of the backup.
      type: str
    created:
      description: Moment that the backup is of.
      type: str
    result:
      description: V(good); one that is not fails the module.
      type: str
    compared:
      description: What was compared, of V(rows), V(extensions), V(schema), V(keys) and V(checksums).
      type: list
      elements: str
    tables:
      description: Tables in the restored database.
      type: int
    rows:
      description: Rows in all of them, or keys of Redis.
      type: int
    queries:
      description: Each check query with C(name), C(result) and C(seconds).
      type: list
      elements: dict
    restore_seconds:
      description: How long the restore itself took, from an empty server to the last statistics.
      type: float
    seconds:
      description: How long all of it took.
      type: float
job:
  description: Id of the agent's job.
  returned: when the work was started
  type: str
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.slipway.vps.plugins.module_utils.agent import jobs
from ansible_collections.slipway.vps.plugins.module_utils.backup import drill, parameters
from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError

OPTIONS: dict[str, Any] = {
    "stack": {"type": "str", "required": True},
    "kind": {"type": "str", "choices": ["postgres", "redis", "files", "state"], "default": "postgres"},
    "id": {"type": "str", "default": "latest"},
    **jobs.ARGUMENT_SPEC,
}


def main() -> None:
    module = AnsibleModule(argument_spec=OPTIONS, supports_check_mode=True)
    try:
        module.exit_json(**run(module))
    except SlipwayError as error:
        module.fail_json(msg=str(error))


def run(module: AnsibleModule) -> dict[str, Any]:
    request = {name: module.params[name] for name in ("stack", "kind", "id")}
    spec = parameters.specification(request)
    if module.check_mode:
        return {"changed": True, "drill": drill.plan(spec, request["id"])}
    return {
        "changed": True,
        **jobs.submit("backup.drill", request, f"drill of {spec.stack} ({spec.kind})", module.params),
    }


if __name__ == "__main__":
    main()
