#!/usr/bin/python
# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: apt_packages
short_description: Have Debian packages installed, with one apt-get for all
version_added: 0.1.0
description:
  - Installs what is missing of a list of packages, without recommended ones. When nothing is missing it asks dpkg once
    and is done, so that a second run costs next to nothing.
  - Unlike M(ansible.builtin.apt) it needs no Python bindings on the host, so that check mode works on a bare server.
  - Waits while another program, such as the daily security updates, holds the package database.
author: Slipway contributors (!UNKNOWN)
options:
  name:
    description: Packages to have installed.
    type: list
    elements: str
    required: true
  max_age:
    description: Seconds for which fetched package lists count as fresh. With 0 they are fetched before any installation.
    type: float
    default: 3600
  timeout:
    description: Seconds that the installation may take.
    type: float
    default: 1800
attributes:
  check_mode:
    description: Says which packages would be installed.
    support: full
  diff_mode:
    description: Lists the packages that are added.
    support: full
  idempotent:
    description: Never upgrades. Reports a change only if a package was missing.
    support: full
seealso:
  - module: ansible.builtin.apt
"""

EXAMPLES = r"""
- name: Install Nginx
  slipway.vps.apt_packages:
    name: [nginx]
"""

RETURN = r"""
installed:
  description: Packages that were missing and were installed, or would be in check mode.
  returned: success
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError
from ansible_collections.slipway.vps.plugins.module_utils.host import packages


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "list", "elements": "str", "required": True},
            "max_age": {"type": "float", "default": 3600},
            "timeout": {"type": "float", "default": 1800},
        },
        supports_check_mode=True,
    )
    try:
        missing = packages.missing(module.params["name"])
        if missing and not module.check_mode:
            packages.install(missing, max_age=module.params["max_age"], timeout=module.params["timeout"])
    except SlipwayError as error:
        module.fail_json(msg=str(error), installed=[])
    module.exit_json(
        changed=bool(missing),
        installed=missing,
        diff={"before": "", "after": "".join(f"{name}\n" for name in missing)},
    )


if __name__ == "__main__":
    main()
