#!/usr/bin/python
# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: apt_version
short_description: Find the versions of packages that fit the version a person wrote
version_added: 0.1.0
description:
  - Looks into the lists that apt has, and returns the whole version of each package, newest first, that fits O(version).
  - Fails with a sentence that names what is there if one package has no such version.
  - In check mode a host whose lists know none of the packages, such as one that a repository is yet to be added to, is no
    failure.
author: Slipway contributors (!UNKNOWN)
extends_documentation_fragment:
  - slipway.vps.attributes.read_only
options:
  packages:
    description: Names of the packages.
    type: list
    elements: str
    required: true
  version:
    description: A version with or without epoch and revision, or the beginning of one, such as V(26.1).
    type: str
    required: true
  variable:
    description: What the sentence calls the version.
    type: str
    default: version
"""

EXAMPLES = r"""
- name: Find the Engine's version
  slipway.vps.apt_version:
    packages: [docker-ce, docker-ce-cli]
    version: 26.1.5
  register: found
"""

RETURN = r"""
versions:
  description: By package, the whole version.
  returned: success
  type: dict
  sample: {docker-ce: "5:26.1.5-1~debian.12~bookworm"}
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError
from ansible_collections.slipway.vps.plugins.module_utils.host import apt_versions


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "packages": {"type": "list", "elements": "str", "required": True},
            "version": {"type": "str", "required": True},
            "variable": {"type": "str", "default": "version"},
        },
        supports_check_mode=True,
    )
    try:
        available = apt_versions.known(module.params["packages"])
        if module.check_mode and not any(available.values()):
            module.exit_json(changed=False, versions={})
        chosen = apt_versions.choose(available, module.params["version"], module.params["variable"])
    except SlipwayError as error:
        module.fail_json(msg=str(error), changed=False)
    module.exit_json(changed=False, versions=chosen)


if __name__ == "__main__":
    main()
