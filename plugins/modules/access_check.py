#!/usr/bin/python
# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: access_check
short_description: Refuse a change of users or of the SSH server that would lock somebody out
version_added: 0.1.0
description:
  - Compares the users, keys and SSH settings that are wanted with how this very play logs in, and fails with every
    problem at once. Public keys are read by C(ssh-keygen).
  - Tells what the other tasks need to know about the way in.
  - Only reads. Run it without C(become), for sudo hides how the play came in.
author: Slipway contributors (!UNKNOWN)
extends_documentation_fragment:
  - slipway.vps.attributes.read_only
options:
  users:
    description: Users that will be there.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Login name.
        type: str
        required: true
      keys:
        description: Public keys.
        type: list
        elements: str
        default: []
      shell:
        description: Login shell.
        type: str
        default: /bin/bash
      home:
        description: Home directory. The default is C(/home/NAME).
        type: str
        default: ""
      sudo:
        description: Not looked at; it is here so that the list of the role fits.
        type: bool
        default: true
  absent:
    description: Users that will be removed.
    type: list
    elements: str
    default: []
  deploy_users:
    description: Users of other roles, who may log in beside O(allow_users).
    type: list
    elements: str
    default: []
  ssh:
    description: Whether the SSH server's configuration is about to be written.
    type: bool
    default: true
  port:
    description: Its port.
    type: int
    default: 22
  permit_root:
    description: Whether root may log in.
    type: bool
    default: true
  allow_users:
    description: Users who may log in; empty for all.
    type: list
    elements: str
    default: []
  rsa_bits:
    description: Smallest RSA key that the SSH server will accept.
    type: int
    default: 0
  revert_seconds:
    description: Time in which a change has to be proved.
    type: int
    default: 90
"""

EXAMPLES = r"""
- name: Refuse what would lock this play out
  slipway.vps.access_check:
    users:
      - name: alex
        keys: [ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ... alex@laptop]
    permit_root: false
  become: false
  register: way_in
"""

RETURN = r"""
user:
  description: The user that the play logs in as. Empty if the connection is not by SSH.
  returned: success
  type: str
address:
  description: The address that it comes from, as the host sees it.
  returned: success
  type: str
port:
  description: The port of the SSH server that it came in by; 0 if the connection is not by SSH.
  returned: success
  type: int
socket:
  description: V(active) or V(enabled) if systemd listens for the SSH server, otherwise empty.
  returned: success
  type: str
accounts:
  description: Users whose account is missing or has another shell or home.
  returned: success
  type: list
  elements: str
"""

import os

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError
from ansible_collections.slipway.vps.plugins.module_utils.host import access


def wish(params: dict) -> access.Wish:
    users = [access.User(item["name"], item["keys"], item["shell"], item["home"]) for item in params["users"]]
    names = ("absent", "deploy_users", "ssh", "port", "permit_root", "allow_users", "rsa_bits", "revert_seconds")
    return access.Wish(users=users, **{name: params[name] for name in names})


def refusal(found: list[str]) -> str:
    if len(found) == 1:
        return f"Nothing was changed. {found[0]}"
    listed = "\n".join(f"{number}. {problem}" for number, problem in enumerate(found, start=1))
    return f"Nothing was changed, because {len(found)} problems must be solved first:\n{listed}"


def main() -> None:
    names = {"type": "list", "elements": "str", "default": []}
    module = AnsibleModule(
        argument_spec={
            "users": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "name": {"type": "str", "required": True},
                    "keys": {"type": "list", "elements": "str", "default": [], "no_log": False},
                    "shell": {"type": "str", "default": "/bin/bash"},
                    "home": {"type": "str", "default": ""},
                    "sudo": {"type": "bool", "default": True},
                },
            },
            "absent": names,
            "deploy_users": names,
            "ssh": {"type": "bool", "default": True},
            "port": {"type": "int", "default": 22},
            "permit_root": {"type": "bool", "default": True},
            "allow_users": names,
            "rsa_bits": {"type": "int", "default": 0},
            "revert_seconds": {"type": "int", "default": 90},
        },
        supports_check_mode=True,
    )
    wanted = wish(module.params)
    login = access.Login.of(os.environ)
    try:
        found = access.problems(wanted, login)
        if found:
            module.fail_json(msg=refusal(found), changed=False)
        module.exit_json(
            changed=False,
            user=login.user,
            address=login.address,
            port=login.port,
            socket=access.by_socket(),
            accounts=access.differing(wanted.users),
        )
    except SlipwayError as error:
        module.fail_json(msg=str(error), changed=False)


if __name__ == "__main__":
    main()
