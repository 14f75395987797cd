#!/usr/bin/python
# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: stack_restore
short_description: Bring Redis, files or state back from a backup
version_added: 0.1.0
description:
  - Restores beside first. The checksums of all that was asked for are right before anything live is touched.
  - In place, the containers that use a folder are stopped, the folder is exchanged by renaming, and they are started
    again. What was replaced is kept under the names that RV(restore.before) tells, until somebody removes it.
  - A snapshot of Redis is loaded by a second server without a network first. Its keys are counted, and it writes both
    a snapshot and an append-only file, so that the service finds the data in either configuration.
  - The work is done by the installed agent (role P(slipway.vps.agent#role)) in a systemd unit of its own, so it
    survives a lost connection.
author: Slipway contributors (!UNKNOWN)
extends_documentation_fragment:
  - slipway.vps.job
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
  id:
    description: Id of the backup as M(slipway.vps.stack_backup_info) lists it, or V(latest).
    type: str
    default: latest
  target:
    description: Whether to restore V(beside) what is live or V(in_place) of it. A state is restored beside only.
    type: str
    choices: [beside, in_place]
    default: beside
  contents:
    description:
      - Which of it, as the manifest's RV(ignore:contents) name it, such as V(volume-shop_media) or V(project).
      - Left out, all of it.
    type: list
    elements: str
    default: []
  directory:
    description: Where O(target=beside) puts it. The default is below C(/var/lib/slipway/restored).
    type: path
  age_identity_file:
    description: File on the module's host with the age identity that can read encrypted backups.
    type: path
  maintenance_file:
    description: File that exists while folders are exchanged, such as the stack's C(/srv/<stack>/maintenance).
    type: path
attributes:
  check_mode:
    description: Finds the backup, its key, its contents and the room, and tells what would be done.
    support: full
  diff_mode:
    description: Folders are not compared file by file.
    support: none
  idempotent:
    description: Every call restores.
    support: none
seealso:
  - module: slipway.vps.stack_backup_info
"""

EXAMPLES = r"""
- name: Look at yesterday's uploads
  slipway.vps.stack_restore:
    stack: shop
    kind: files
    contents: [project]

- name: Bring Redis back
  slipway.vps.stack_restore:
    stack: shop
    kind: redis
    target: in_place
    maintenance_file: /srv/shop/maintenance
"""

RETURN = r"""
restore:
  description: What was restored, or what would be in check mode.
  returned: success
  type: dict
  contains:
    id:
      description: Id of the backup.
      type: str
    kind:
      description: See O(kind).
      type: str
    created:
      description: Moment that the backup shows.
      type: str
    store:
      description: The copy that was read.
      type: str
    target:
      description: See O(target).
      type: str
    places:
      description: For each content where it is now.
      type: dict
    before:
      description: Where what was replaced is kept.
      type: list
      elements: str
    bytes:
      description: Size of what was asked for, unpacked.
      type: int
    key_counts:
      description: Keys by database, for V(redis).
      type: dict
    seconds:
      description: How long it took.
      type: float
job:
  description: Id of the agent's job.
  returned: when the work was started
  type: str
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.slipway.vps.plugins.module_utils.agent import jobs
from ansible_collections.slipway.vps.plugins.module_utils.backup import parameters, restoration, restore_kind
from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError

OPTIONS: dict[str, Any] = {
    **parameters.KIND_SPEC,
    "id": {"type": "str", "default": "latest"},
    "target": {"type": "str", "choices": ["beside", "in_place"], "default": "beside"},
    "contents": {"type": "list", "elements": "str", "default": []},
    "directory": {"type": "path"},
    "age_identity_file": {"type": "path"},
    "maintenance_file": {"type": "path"},
    **jobs.ARGUMENT_SPEC,
}
WANTED = ("stack", "kind", "id", "target", "contents", "directory", "maintenance_file")


def main() -> None:
    module = AnsibleModule(argument_spec=OPTIONS, supports_check_mode=True)
    try:
        module.exit_json(**run(module))
    except SlipwayError as error:
        module.fail_json(msg=str(error))


def run(module: AnsibleModule) -> dict[str, Any]:
    request = {name: module.params[name] for name in WANTED}
    request["identity_file"] = module.params["age_identity_file"]
    spec = parameters.specification(request)
    wanted = restoration.Request.from_dict(request)
    if module.check_mode:
        return {"changed": True, "restore": restore_kind.plan(spec, wanted)}
    what = f"restore of {spec.stack} ({spec.kind})"
    return {"changed": True, **jobs.submit("backup.restore", request, what, module.params)}


if __name__ == "__main__":
    main()
