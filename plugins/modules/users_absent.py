#!/usr/bin/python
# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: users_absent
short_description: Remove people who left, with all that they left running
version_added: 0.1.0
description:
  - Locks each user, takes away sudo rules, crontab, jobs of C(at) and lingering, stops and disables the services that run
    as the user and what starts them, ends every process of the user on the host (not those in containers that happen to
    have the same number), archives or removes the home directory, and removes the account.
  - Services that were stopped on the way do not count as failed afterwards.
  - Files elsewhere that belong to the user stay, and keep the number of an owner that is gone.
author: Slipway contributors (!UNKNOWN)
options:
  names:
    description: Login names. One that is not there is fine.
    type: list
    elements: str
    required: true
  home:
    description:
      - What becomes of the home directory. It is kept in any case if it is a link, if something is mounted in it, or if it is
        also the home of somebody else.
    type: str
    choices: [archive, remove, keep]
    default: archive
  archives:
    description: Directory for the archives, which root alone may read.
    type: path
    default: /var/backups/slipway/users
attributes:
  check_mode:
    description: Tells whom it would remove, with which traces.
    support: full
  diff_mode:
    description: Lists the account and the files that go.
    support: full
  idempotent:
    description: Reports a change only if there was something of a user.
    support: full
"""

EXAMPLES = r"""
- name: Remove who left
  slipway.vps.users_absent:
    names: [alex]
    home: archive
"""

RETURN = r"""
removed:
  description: Users of whom there was something to remove.
  returned: success
  type: list
  elements: str
units:
  description:
    - Services that ran as one of them, and what started them. They are stopped and disabled; their files stay, because they
      may be somebody else's work.
  returned: success
  type: list
  elements: str
archives:
  description: Archives of home directories that were written.
  returned: success
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError
from ansible_collections.slipway.vps.plugins.module_utils.host import leavers


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "names": {"type": "list", "elements": "str", "required": True},
            "home": {"type": "str", "choices": ["archive", "remove", "keep"], "default": "archive"},
            "archives": {"type": "path", "default": "/var/backups/slipway/users"},
        },
        supports_check_mode=True,
    )
    params = module.params
    try:
        report = leavers.converge(
            params["names"], home=params["home"], archives=params["archives"], check=module.check_mode
        )
    except SlipwayError as error:
        module.fail_json(msg=str(error), changed=False)
    for warning in report.warnings:
        module.warn(warning)
    before = "".join(f"{line}\n" for line in report.before)
    module.exit_json(
        changed=report.changed,
        removed=report.removed,
        units=report.units,
        archives=report.archives,
        diff={"before_header": "people who left", "after_header": "people who left", "before": before, "after": ""},
    )


if __name__ == "__main__":
    main()
