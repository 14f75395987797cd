#!/usr/bin/python
# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: host_keep
short_description: Keep configuration files whose change has been proved
version_added: 0.1.0
description:
  - Disarms the way back that M(slipway.vps.host_files) armed with O(slipway.vps.host_files#module:revert). Call it over a
    connection that was opened after the change, for that is the proof.
  - Fails if the change was taken back already.
author: Slipway contributors (!UNKNOWN)
options:
  name:
    description: Name of the way back.
    type: str
    required: true
attributes:
  check_mode:
    description: Only tells that the way back would be disarmed.
    support: full
  diff_mode:
    description: There is no text to compare.
    support: none
  idempotent:
    description: A change can be kept once; after that there is nothing to keep, which is an error.
    support: none
seealso:
  - module: slipway.vps.host_files
"""

EXAMPLES = r"""
- name: Change the SSH server, with a way back
  slipway.vps.host_files:
    files:
      - path: /etc/ssh/sshd_config
        content: "{{ lookup('ansible.builtin.template', 'sshd_config.j2') }}"
    apply:
      - [systemctl, reload-or-restart, ssh.service]
    revert:
      name: access
  register: written

- name: Log in anew
  ansible.builtin.wait_for_connection:
    timeout: 30
  when: written.unproved

- name: Keep it
  slipway.vps.host_keep:
    name: access
  when: written.unproved
"""

RETURN = r"""
unit:
  description: The systemd unit, without its suffix, that would have put the old files back.
  returned: success
  type: str
  sample: slipway-revert-access
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError
from ansible_collections.slipway.vps.plugins.module_utils.host.revert import WayBack


def main() -> None:
    module = AnsibleModule(argument_spec={"name": {"type": "str", "required": True}}, supports_check_mode=True)
    way_back = WayBack(module.params["name"])
    try:
        if not module.check_mode:
            way_back.keep()
    except SlipwayError as error:
        module.fail_json(msg=str(error), changed=False)
    module.exit_json(changed=True, unit=way_back.unit)


if __name__ == "__main__":
    main()
