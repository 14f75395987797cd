#!/usr/bin/python
# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: agent_package
short_description: Install the Slipway agent on a host
version_added: 0.1.0
description:
  - Installs the logic of this collection as the Python package C(slipway) below C(/usr/lib/slipway), with the command
    C(/usr/bin/slipway). Timers, the boot unit and long-running work use it without a controller.
  - The files are those that this module itself carries, so that the agent and the collection are always one version.
    A file that was changed on the host is put back, a file of an older version is removed.
  - The package is compiled to bytecode for the Python that the command runs on, so that a timer's start costs little.
author: Slipway contributors (!UNKNOWN)
options:
  state:
    description:
      - V(present) installs or updates the agent.
      - V(absent) removes the package and the command. State and configuration stay.
    type: str
    choices: [present, absent]
    default: present
attributes:
  check_mode:
    description: Tells which files would change without touching them.
    support: full
  diff_mode:
    description: Lists the files that are written or removed.
    support: full
  idempotent:
    description: A second run changes nothing.
    support: full
requirements:
  - Python 3.10 or newer on the host
"""

EXAMPLES = r"""
- name: Install the agent
  slipway.vps.agent_package:
    state: present
"""

RETURN = r"""
version:
  description: Version of the agent, the same as the collection's.
  returned: success
  type: str
written:
  description: Files that were written (or would be, in check mode).
  returned: success
  type: list
  elements: str
compiled:
  description: Whether bytecode was made (or would be, in check mode), because files changed or Python is another version.
  returned: success
  type: bool
removed:
  description: Files that were removed (or would be, in check mode).
  returned: success
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule

# The command imports every part of the agent: that is what makes the whole package travel with this module.
from ansible_collections.slipway.vps.plugins.module_utils.agent import cli, installation
from ansible_collections.slipway.vps.plugins.module_utils.common.version import __version__


def present(module: AnsibleModule) -> None:
    tree = installation.wanted(installation.source())
    found = installation.plan(tree)
    if found.changed and not module.check_mode:
        installation.apply(found)
    written = sorted(found.write)
    lines = [*written, *([f"{installation.LIBRARY}/**/__pycache__"] if found.uncompiled else [])]
    diff = {"before": "".join(f"{name}\n" for name in found.remove), "after": "".join(f"{name}\n" for name in lines)}
    module.exit_json(
        changed=found.changed,
        version=__version__,
        written=written,
        compiled=found.uncompiled,
        removed=found.remove,
        diff=diff,
    )


def absent(module: AnsibleModule) -> None:
    files = [str(path) for path in (installation.LIBRARY, installation.COMMAND) if path.exists()]
    if files and not module.check_mode:
        installation.uninstall()
    diff = {"before": "".join(f"{name}\n" for name in files), "after": ""}
    module.exit_json(changed=bool(files), version=__version__, written=[], compiled=False, removed=files, diff=diff)


def main() -> None:
    module = AnsibleModule(
        argument_spec={"state": {"type": "str", "choices": ["present", "absent"], "default": "present"}},
        supports_check_mode=True,
    )
    # A command that cannot even list its options would be found only at night, by a timer.
    cli.parser()
    if module.params["state"] == "present":
        present(module)
    absent(module)


if __name__ == "__main__":
    main()
