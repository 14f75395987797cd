#!/usr/bin/python
# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: docker_daemon
short_description: Configure the Docker Engine, and restart it only if it must be
version_added: 0.1.0
description:
  - Merges settings into C(daemon.json). What somebody wrote there by hand stays, unless the same setting is in O(options).
    A setting that is no longer in O(options) is taken back to what stood there before.
  - Has the Engine check the file before it takes its place.
  - Reloads the Engine where it can take a setting over while it runs, and makes sure that it did. Restarts it where it
    cannot, also after its program was replaced or after somebody edited the file.
  - Before a restart it waits for the locks in O(locks), such as those of releases, and holds them meanwhile. If they are
    not free in time, it fails and nothing is changed.
author: Slipway contributors (!UNKNOWN)
options:
  options:
    description: Settings as in C(daemon.json).
    type: dict
    default: {}
  drop_ins:
    description: Drop-in files of systemd for the Engine's units. When one changes, the Engine restarts.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Absolute path.
        type: str
        required: true
      content:
        description: The whole text.
        type: str
        required: true
  locks:
    description: Shell patterns of lock files whose holders must not lose the Engine.
    type: list
    elements: str
    default: [/srv/*/release.lock, /var/lib/slipway/backup/lock]
  wait:
    description: Seconds to wait for them.
    type: int
    default: 300
  first_id:
    description:
      - First of the 65536 users of the host that the users in containers become with the setting C(userns-remap=default).
        A range that the host has already is kept.
    type: int
    default: 1000000
attributes:
  check_mode:
    description: Tells what would change, and whether the Engine would restart.
    support: full
  diff_mode:
    description: Shows the files before and after.
    support: full
  idempotent:
    description: Reports a change only if a file differed or the Engine had to take something over.
    support: full
"""

EXAMPLES = r"""
- name: Rotate the logs of containers
  slipway.vps.docker_daemon:
    options:
      log-driver: json-file
      log-opts: {max-size: 10m, max-file: "5"}
      live-restore: true
"""

RETURN = r"""
how:
  description: What was done so that the Engine runs with the configuration.
  returned: success
  type: str
  sample: restart
why:
  description: The reason, empty if nothing was needed.
  returned: success
  type: str
  sample: icc in /etc/docker/daemon.json changed
changed_paths:
  description: Files that were changed, or would be in check mode.
  returned: success
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError
from ansible_collections.slipway.vps.plugins.module_utils.host import docker_engine
from ansible_collections.slipway.vps.plugins.module_utils.host.files import FileSpec


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "options": {"type": "dict", "default": {}},
            "drop_ins": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {"path": {"type": "str", "required": True}, "content": {"type": "str", "required": True}},
            },
            "locks": {
                "type": "list",
                "elements": "str",
                "default": ["/srv/*/release.lock", "/var/lib/slipway/backup/lock"],
            },
            "wait": {"type": "int", "default": 300},
            "first_id": {"type": "int", "default": 1000000},
        },
        supports_check_mode=True,
    )
    wanted = docker_engine.Wanted(
        options=module.params["options"],
        drop_ins=tuple(FileSpec(**drop_in) for drop_in in module.params["drop_ins"]),
        locks=tuple(module.params["locks"]),
        wait=module.params["wait"],
        first_id=module.params["first_id"],
    )
    try:
        report = docker_engine.converge(wanted, check=module.check_mode)
    except SlipwayError as error:
        module.fail_json(msg=str(error), changed=False)
    if report.how != docker_engine.NOTHING and not module.check_mode:
        module.log(f"Docker Engine: {report.how}, because {report.why}.")
    module.exit_json(
        changed=report.changed,
        how=report.how,
        why=report.why,
        changed_paths=report.changed_paths,
        diff=report.diff,
    )


if __name__ == "__main__":
    main()
