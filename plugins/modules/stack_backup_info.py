#!/usr/bin/python
# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: stack_backup_info
short_description: List the backups of what a stack holds beside its database
version_added: 0.1.0
description:
  - Lists what has a manifest, and says of each copy whether it is whole, and when the backup was verified and restored.
author: Slipway contributors (!UNKNOWN)
extends_documentation_fragment:
  - slipway.vps.attributes.read_only
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
seealso:
  - module: slipway.vps.stack_backup
  - module: slipway.vps.postgres_backup_info
"""

EXAMPLES = r"""
- name: See which backups of Redis there are
  slipway.vps.stack_backup_info:
    stack: shop
    kind: redis
  register: found
"""

RETURN = r"""
backups:
  description: The backups, oldest first, with the fields that M(slipway.vps.postgres_backup_info) describes.
  returned: success
  type: list
  elements: dict
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
    module = AnsibleModule(argument_spec=parameters.KIND_SPEC, supports_check_mode=True)
    now = datetime.now(timezone.utc)
    try:
        spec = parameters.specification(module.params)
        damaged: list[str] = []
        backups = [one.as_dict(now) for one in catalog.entries(stores(spec), damaged)]
    except SlipwayError as error:
        module.fail_json(msg=str(error))
    for problem in damaged:
        module.warn(problem)
    module.exit_json(changed=False, backups=backups, damaged=damaged)


if __name__ == "__main__":
    main()
