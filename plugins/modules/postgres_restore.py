#!/usr/bin/python
# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: postgres_restore
short_description: Make a database of a backup, beside the live one or in its place
version_added: 0.1.0
description:
  - Restores into a new database, compares the rows of every table with the manifest, and only then touches anything.
  - In place, the new database takes the live one's name in one transaction. The old one stays under the name that
    RV(restore.before) tells, until somebody drops it.
  - Chosen schemas or tables are copied into the live database in one transaction. What was there is kept under
    another name.
  - Roles that the backup needs and the server lacks are created. Without encryption they have no password, because
    then no password hash is stored.
  - The work is done by the installed agent (role P(slipway.vps.agent#role)) in a systemd unit of its own, so it
    survives a lost connection.
author: Slipway contributors (!UNKNOWN)
extends_documentation_fragment:
  - slipway.vps.backup
  - slipway.vps.job
  - slipway.vps.postgres
  - slipway.vps.s3
options:
  id:
    description: Id of the backup as M(slipway.vps.postgres_backup_info) lists it, or V(latest).
    type: str
    default: latest
  target:
    description: Whether to restore V(beside) the live database or V(in_place) of it.
    type: str
    choices: [beside, in_place]
    default: beside
  database:
    description: Name of the new database for O(target=beside). The default is made of the database's name and the id.
    type: str
  schemas:
    description: Schemas that are wanted back, for O(target=in_place). Left out with O(tables), everything is.
    type: list
    elements: str
    default: []
  tables:
    description: Tables that are wanted back, written C(schema.table), for O(target=in_place).
    type: list
    elements: str
    default: []
  time:
    description:
      - Bring the whole database server back as it was at this moment, from a base backup and the log that followed it.
      - Written C(2026-11-21T12:00:00+00:00), or V(newest) for all that is in the bucket.
      - V(beside) makes a container of the same image on no network, V(in_place) replaces the files of the stack's own.
      - Needs a stack whose log is archived (C(backup_wal_enabled) of role P(slipway.vps.backup#role)).
    type: str
  timeline:
    description: Timeline to follow with O(time). The default is the newest.
    type: int
  maintenance_file:
    description: File that exists while the live database is swapped, such as the stack's C(/srv/<stack>/maintenance).
    type: path
attributes:
  check_mode:
    description: Finds the backup, its key and its contents, and tells what would be done.
    support: full
  diff_mode:
    description: Two databases are not compared row by row.
    support: none
  idempotent:
    description: Every call restores.
    support: none
seealso:
  - module: slipway.vps.postgres_backup_info
"""

EXAMPLES = r"""
- name: Look at yesterday's data beside the live database
  slipway.vps.postgres_restore:
    stack: shop
    id: 20261120T030011Z-4f1c2a

- name: Bring one tenant's schema back
  slipway.vps.postgres_restore:
    stack: shop
    target: in_place
    schemas: [tenant_alpha]
    maintenance_file: /srv/shop/maintenance

- name: Look at the server as it was before the table was dropped
  slipway.vps.postgres_restore:
    stack: shop
    time: "2026-11-21T12:00:00+00:00"
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
    created:
      description: Moment of the dump's snapshot.
      type: str
    store:
      description: The copy that was read.
      type: str
    target:
      description: See O(target).
      type: str
    database:
      description: The database that now holds the data.
      type: str
    before:
      description: Where what was replaced is kept.
      type: str
    selection:
      description: What was chosen, as text.
      type: str
    tables:
      description: Number of tables in the backup.
      type: int
    rows:
      description: Rows in all of them, equal to the manifest.
      type: int
    time:
      description: What was asked for with O(time).
      type: str
    reached:
      description: Time of the last transaction that came back, as the server tells it.
      type: str
    log_reaches:
      description: Everything that was committed before this moment is in the bucket.
      type: str
    container:
      description: The container that now holds the data, with O(time).
      type: str
    segments:
      description: Number of files of the log that were replayed.
      type: int
    roles_created:
      description: Roles that the server lacked.
      type: list
      elements: str
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
from ansible_collections.slipway.vps.plugins.module_utils.backup import parameters, restore
from ansible_collections.slipway.vps.plugins.module_utils.backup.wal import options
from ansible_collections.slipway.vps.plugins.module_utils.backup.wal import restore as moments
from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError

OPTIONS: dict[str, Any] = {
    **parameters.ARGUMENT_SPEC,
    "id": {"type": "str", "default": "latest"},
    "target": {"type": "str", "choices": ["beside", "in_place"], "default": "beside"},
    "database": {"type": "str"},
    "schemas": {"type": "list", "elements": "str", "default": []},
    "tables": {"type": "list", "elements": "str", "default": []},
    "time": {"type": "str"},
    "timeline": {"type": "int"},
    "maintenance_file": {"type": "path"},
    **jobs.ARGUMENT_SPEC,
}
WANTED = ("id", "target", "database", "schemas", "tables", "time", "timeline", "maintenance_file")


def main() -> None:
    module = AnsibleModule(argument_spec=OPTIONS, supports_check_mode=True)
    try:
        module.exit_json(**run(module))
    except SlipwayError as error:
        module.fail_json(msg=str(error))


def run(module: AnsibleModule) -> dict[str, Any]:
    request = parameters.request(module.params)
    request.update({name: module.params[name] for name in WANTED})
    request["identity_file"] = module.params["age_identity_file"]
    if module.params["time"]:
        return _to_a_moment(module, request)
    spec = parameters.specification(request)
    wanted = restore.Request.from_dict(request)
    if module.check_mode:
        return {"changed": True, "restore": restore.plan(spec, wanted).as_dict(spec, wanted)}
    return {"changed": True, **jobs.submit("backup.restore", request, f"restore of {spec.stack}", module.params)}


def _to_a_moment(module: AnsibleModule, request: dict[str, Any]) -> dict[str, Any]:
    request["kind"] = options.KIND
    spec = parameters.specification(request)
    wanted = moments.Request.from_dict(request)
    if module.check_mode:
        return {"changed": True, "restore": moments.describe(moments.plan(spec, wanted), wanted)}
    return {"changed": True, **jobs.submit("wal.restore", request, f"restore of {spec.stack}", module.params)}


if __name__ == "__main__":
    main()
