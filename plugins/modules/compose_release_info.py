#!/usr/bin/python
# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: compose_release_info
short_description: Read the releases of a stack
version_added: 0.1.0
description:
  - Lists every release on record, newest first, the failed ones too, from the append-only log of the stack.
author: Slipway contributors (!UNKNOWN)
extends_documentation_fragment:
  - slipway.vps.attributes.read_only
options:
  name:
    description: Name of the stack.
    type: str
    required: true
seealso:
  - module: slipway.vps.compose_release
"""

EXAMPLES = r"""
- name: Read the releases
  slipway.vps.compose_release_info:
    name: shop
  register: history

- name: Show the one that serves
  ansible.builtin.debug:
    var: history.active
"""

RETURN = r"""
releases:
  description: Every attempt, newest first.
  returned: success
  type: list
  elements: dict
  contains:
    release:
      description: Number of the release.
      type: int
      returned: success
    name:
      description: Its name.
      type: str
      returned: success
    kind:
      description: V(deploy) or V(rollback).
      type: str
      returned: success
    result:
      description: V(succeeded), V(failed), or how an interrupted one ended.
      type: str
      returned: success
    reason:
      description: Why it failed.
      type: str
      returned: success
    phase:
      description: The phase in which it failed.
      type: str
      returned: success
    at:
      description: When it ended, in UTC.
      type: str
      returned: success
    by:
      description: Who asked for it.
      type: str
      returned: success
    from:
      description: Number of the release that served before.
      type: int
      returned: success
    slot:
      description: Its slot.
      type: str
      returned: success
    dump:
      description: Id of the backup that was made before its migration.
      type: str
      returned: success
    images:
      description: Image digests by service.
      type: dict
      returned: success
    phases:
      description: Phases with their seconds.
      type: list
      elements: dict
      returned: success
    seconds:
      description: All phases together.
      type: float
      returned: success
    active:
      description: Whether this release serves.
      type: bool
      returned: success
    kept:
      description: Whether its files are kept, so that a rollback can use it.
      type: bool
      returned: success
active:
  description: Number of the release that serves, if any.
  returned: success
  type: int
slot:
  description: The slot that serves, if any.
  returned: success
  type: str
audit:
  description: What is wrong with the log, as a sentence, if somebody shortened or changed it; else empty.
  returned: success
  type: str
phase:
  description: V(idle), or the phase of a release that is under way or was cut off.
  returned: success
  type: str
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError
from ansible_collections.slipway.vps.plugins.module_utils.common.validate import stack_name
from ansible_collections.slipway.vps.plugins.module_utils.release import history


def main() -> None:
    module = AnsibleModule(argument_spec={"name": {"type": "str", "required": True}}, supports_check_mode=True)
    try:
        module.exit_json(changed=False, **history.overview(stack_name(module.params["name"])))
    except SlipwayError as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
