#!/usr/bin/python
# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: compose_remove
short_description: Take a stack off a host, with its data only when its name confirms it
version_added: 0.1.0
description:
  - Removes the containers, networks, Nginx files, units, timers and configuration of a stack that
    M(slipway.vps.compose_release) and the roles made.
  - Volumes, local backups and the directory below C(/srv) stay, unless O(remove_data) names the stack. The stack can then
    be put back with the playbook that made it.
  - Backups in S3 are never deleted.
author: Slipway contributors (!UNKNOWN)
options:
  name:
    description: Name of the stack.
    type: str
    required: true
  remove_data:
    description: The stack's name again. Then its volumes, local backups and directory are deleted, for good.
    type: str
    default: ""
  remove_certificates:
    description: Whether the certificates of the stack and its tenants are deleted too.
    type: bool
    default: false
  lock_wait:
    description: Seconds to wait for a release that is under way.
    type: int
    default: 60
attributes:
  check_mode:
    description: Tells exactly what would go.
    support: full
  diff_mode:
    description: What goes is listed by kind and name.
    support: full
  idempotent:
    description: What is gone is not removed again.
    support: full
requirements:
  - python3-docker
seealso:
  - module: slipway.vps.compose_release
"""

EXAMPLES = r"""
- name: Take the shop away and keep its data
  slipway.vps.compose_remove:
    name: shop

- name: Take the shop away with everything it stored here
  slipway.vps.compose_remove:
    name: shop
    remove_data: shop
    remove_certificates: true
"""

RETURN = r"""
removed:
  description: What was (or would be) removed, in this order.
  returned: success
  type: list
  elements: dict
  contains:
    kind:
      description:
        - V(file), V(directory), V(unit), V(container), V(network), V(image), V(state), V(certificate) or V(volume).
      type: str
    name:
      description: Its path or name.
      type: str
kept:
  description: What belongs to the stack and stays on the host, of the same form.
  returned: success
  type: list
  elements: dict
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError
from ansible_collections.slipway.vps.plugins.module_utils.common.events import Emitter
from ansible_collections.slipway.vps.plugins.module_utils.operations import removal
from ansible_collections.slipway.vps.plugins.module_utils.release.host import Host
from ansible_collections.slipway.vps.plugins.module_utils.release.paths import StackPaths

OPTIONS: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "remove_data": {"type": "str", "default": ""},
    "remove_certificates": {"type": "bool", "default": False},
    "lock_wait": {"type": "int", "default": 60},
}


def main() -> None:
    module = AnsibleModule(argument_spec=OPTIONS, supports_check_mode=True)
    try:
        module.exit_json(**run(module))
    except SlipwayError as error:
        module.fail_json(msg=str(error))


def run(module: AnsibleModule) -> dict[str, Any]:
    wish = removal.read(
        module.params["name"],
        module.params["remove_data"],
        certificates=module.params["remove_certificates"],
        lock_wait=module.params["lock_wait"],
    )
    host = Host(StackPaths(wish.stack), Emitter.null())
    kept = removal.kept(host, wish)
    gone = removal.find(host, wish) if module.check_mode else removal.apply(host, wish)
    listed = "".join(f"{thing.kind} {thing.name}\n" for thing in gone)
    return {
        "changed": bool(gone),
        "removed": [thing.as_dict() for thing in gone],
        "kept": [thing.as_dict() for thing in kept],
        "diff": {"before_header": f"stack {wish.stack}", "before": listed, "after_header": "gone", "after": ""},
    }


if __name__ == "__main__":
    main()
