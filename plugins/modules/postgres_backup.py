#!/usr/bin/python
# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: postgres_backup
short_description: Back up a PostgreSQL database to S3 and say what was stored
version_added: 0.1.0
description:
  - Streams C(pg_dump) through zstd and, if asked, age into S3 multipart uploads and a copy on the host. There is no
    temporary copy of the database, and memory use does not grow with it.
  - The exit status of every program is known before the upload is completed. A dump that was killed, a connection that
    broke or a full disk leaves no object.
  - The manifest is written last. What has none is not a backup and is never listed as one.
  - The work is done by the installed agent (role P(slipway.vps.agent#role)) in a systemd unit of its own, so it
    survives a lost connection.
author: Slipway contributors (!UNKNOWN)
extends_documentation_fragment:
  - slipway.vps.backup
  - slipway.vps.job
  - slipway.vps.postgres
  - slipway.vps.s3
options:
  compression_level:
    description: Level of zstd, 1 to 19.
    type: int
    default: 3
  row_counts:
    description: Whether to count the rows of every table in the dump's own snapshot, for restores to compare with.
    type: bool
    default: true
  keep_s3_days:
    description:
      - Days after which a backup in the bucket may go once a newer verified one replaces it.
      - V(0) keeps all of them.
    type: int
    default: 30
  keep_local_days:
    description: The same for copies in O(local_directory).
    type: int
    default: 7
  verify:
    description: Whether to read the new backup back in full at once, through C(pg_restore).
    type: bool
    default: false
attributes:
  check_mode:
    description: Tells what would be backed up and where to, without doing it. The destination is asked.
    support: full
  diff_mode:
    description: A backup has no state to compare.
    support: none
  idempotent:
    description: Every call makes a new backup.
    support: none
seealso:
  - module: slipway.vps.postgres_backup_info
  - module: slipway.vps.postgres_restore
"""

EXAMPLES = r"""
- name: Back up a stack as its role configured it
  slipway.vps.postgres_backup:
    stack: shop
  register: result

- name: Back up a managed database
  slipway.vps.postgres_backup:
    stack: shop
    login_host: db.example.org
    login_user: shop
    login_password: "{{ vault_database_password }}"
    login_db: shop
    ssl_mode: verify-full
    ca_cert: /etc/ssl/certs/ca-certificates.crt
    s3_endpoint: https://s3.example.org
    s3_bucket: backups
    s3_access_key: "{{ vault_s3_key }}"
    s3_secret_key: "{{ vault_s3_secret }}"
    age_recipients:
      - age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p
"""

RETURN = r"""
backup:
  description: The manifest, as C(docs/back-up.md) describes it.
  returned: when the backup was made
  type: dict
  contains:
    id:
      description: Id of the backup; ids sort by time.
      type: str
    stored_bytes:
      description: Size of the stored dump.
      type: int
    dump_bytes:
      description: Size of the dump before compression.
      type: int
    tables:
      description: Rows by table at the moment of the dump.
      type: dict
plan:
  description: What would be done.
  returned: in check mode
  type: dict
  contains:
    stack:
      description: See O(stack).
      type: str
    kind:
      description: What of the stack, always V(postgres) here.
      type: str
    source:
      description: What would be read, in words.
      type: str
    destinations:
      description: Where the copies would go.
      type: list
      elements: str
    encrypted:
      description: Whether they would be encrypted.
      type: bool
    backups:
      description: How many backups there are now.
      type: int
deleted:
  description: Old backups that the retention deleted, as store and id.
  returned: when the backup was made
  type: list
  elements: str
verified:
  description: Id and time of the proof.
  returned: when O(verify=true) and the backup was made
  type: dict
job:
  description: Id of the agent's job.
  returned: when the work was started
  type: str
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.slipway.vps.plugins.module_utils.agent import jobs
from ansible_collections.slipway.vps.plugins.module_utils.backup import engine, parameters
from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError

OPTIONS: dict[str, Any] = {
    **parameters.ARGUMENT_SPEC,
    "compression_level": {"type": "int", "default": 3},
    "row_counts": {"type": "bool", "default": True},
    "keep_s3_days": {"type": "int", "default": 30},
    "keep_local_days": {"type": "int", "default": 7},
    "verify": {"type": "bool", "default": False},
    **jobs.ARGUMENT_SPEC,
}


def main() -> None:
    module = AnsibleModule(argument_spec=OPTIONS, supports_check_mode=True)
    try:
        module.exit_json(**run(module))
    except SlipwayError as error:
        module.fail_json(msg=str(error))


def run(module: AnsibleModule) -> dict[str, Any]:
    request = parameters.request(module.params)
    spec = parameters.specification(request)
    if module.check_mode:
        return {"changed": True, "plan": engine.plan(spec)}
    request["verify"] = module.params["verify"]
    found = {"changed": True, **jobs.submit("backup.run", request, f"backup of {spec.stack}", module.params)}
    for warning in found.pop("warnings", []):
        module.warn(warning)
    return found


if __name__ == "__main__":
    main()
