#!/usr/bin/python
# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: postgres_backup_info
short_description: List the backups of a stack
version_added: 0.1.0
description:
  - Lists what has a manifest, and says of each copy whether it is whole, and when the backup was verified and restored.
  - B(stored) means that the server confirmed the checksum, B(verified) that all of it was read back and parsed, and
    B(restored) that a database was made of it.
author: Slipway contributors (!UNKNOWN)
extends_documentation_fragment:
  - slipway.vps.attributes.read_only
  - slipway.vps.backup
  - slipway.vps.postgres
  - slipway.vps.s3
seealso:
  - module: slipway.vps.postgres_backup
"""

EXAMPLES = r"""
- name: See what there is
  slipway.vps.postgres_backup_info:
    stack: shop
  register: found

- name: Refuse to go on without a verified backup of today
  ansible.builtin.assert:
    that: (found.backups | selectattr('verified') | map(attribute='age_seconds') | min) < 86400
"""

RETURN = r"""
backups:
  description: The backups, oldest first.
  returned: success
  type: list
  elements: dict
  contains:
    id:
      description: Id of the backup.
      type: str
    stack:
      description: Name of the stack.
      type: str
    database:
      description: Name of the database.
      type: str
    created:
      description: Moment of the dump's snapshot.
      type: str
    age_seconds:
      description: Seconds since then.
      type: int
    bytes:
      description: Size of everything that is stored, once.
      type: int
    dump_bytes:
      description: Size of the dump before compression.
      type: int
    encryption:
      description: V(age) or V(none).
      type: str
    copies:
      description: Where it is whole, of V(s3) and V(local).
      type: list
      elements: str
    damaged_copies:
      description: Where an object is missing or has another size than the manifest says.
      type: list
      elements: str
    verified:
      description: When it was read back in full, if it was.
      type: str
    restored:
      description: When it was last restored and equal to its manifest, if it was, by a restore or by a drill.
      type: str
    drill:
      description: The last drill of this backup, if there was one (M(slipway.vps.stack_restore_drill)).
      type: dict
      contains:
        time:
          description: When it ended.
          type: str
        result:
          description: V(good) or V(failed).
          type: str
        reason:
          description: Why it failed.
          type: str
        restore_seconds:
          description: How long the restore itself took.
          type: float
        seconds:
          description: How long all of it took.
          type: float
damaged:
  description: Sentences about manifests that cannot be read. Such a backup is not in RV(backups).
  returned: success
  type: list
  elements: str
"""

from datetime import datetime, timezone

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.slipway.vps.plugins.module_utils.backup import catalog, parameters
from ansible_collections.slipway.vps.plugins.module_utils.backup.store import stores
from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError


def main() -> None:
    module = AnsibleModule(argument_spec=parameters.ARGUMENT_SPEC, supports_check_mode=True)
    now = datetime.now(timezone.utc)
    try:
        spec = parameters.specification(parameters.request(module.params))
        damaged: list[str] = []
        backups = [one.as_dict(now) for one in catalog.entries(stores(spec), damaged)]
    except SlipwayError as error:
        module.fail_json(msg=str(error))
    for problem in damaged:
        module.warn(problem)
    module.exit_json(changed=False, backups=backups, damaged=damaged)


if __name__ == "__main__":
    main()
