#!/usr/bin/python
# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: stack_recover
short_description: Bring a lost server's stack back on a bare one
version_added: 0.1.0
description:
  - The two steps of a recovery that the agent does on the host. Between them the host is configured, so that nothing is
    asked for that the backups hold, such as certificates.
  - V(state) chooses the backups and brings releases, secrets and certificates back. It refuses a host that has the stack
    already. From here until the end of V(data) visitors see the maintenance page.
  - V(data) starts the data services, restores database, Redis and files into them, and then starts the release that
    served, by the digests of its images.
  - What was chosen and done is written down. A call after one that was cut off goes on with what is missing; a call after
    a recovery that ended changes nothing.
  - The work is done by the installed agent (role P(slipway.vps.agent#role)) in a systemd unit of its own, so it
    survives a lost connection.
author: Slipway contributors (!UNKNOWN)
extends_documentation_fragment:
  - slipway.vps.job
options:
  stack:
    description: Name of the stack, whose backup configuration role P(slipway.vps.backup#role) installed.
    type: str
    required: true
  step:
    description: Which half.
    type: str
    choices: [state, data]
    required: true
  time:
    description:
      - The moment to go back to, in ISO 8601 with its offset from UTC. Left out, the newest.
      - Without continuous archiving it is the newest backup before that moment.
    type: str
  ids:
    description:
      - Backups to take instead of the newest, by kind (V(postgres), V(base), V(redis), V(files), V(state)).
      - Naming one of V(postgres) and V(base) decides whether the database comes from a dump or from its log.
    type: dict
    default: {}
  lost_at:
    description:
      - When the server was lost, in ISO 8601 with its offset from UTC, so that RV(recovery.loss) can tell what that cost.
    type: str
  age_identity_file:
    description: File on the module's host with the age identity that can read encrypted backups.
    type: path
attributes:
  check_mode:
    description: Finds the backups and their keys, and tells which would come back.
    support: full
  diff_mode:
    description: There is nothing before a recovery to compare with.
    support: none
  idempotent:
    description: A step that is done is not done again.
    support: full
seealso:
  - module: slipway.vps.postgres_restore
  - module: slipway.vps.stack_restore
"""

EXAMPLES = r"""
- name: Bring the releases and certificates back
  slipway.vps.stack_recover:
    stack: shop
    step: state

- name: Bring the data and the service back
  slipway.vps.stack_recover:
    stack: shop
    step: data
"""

RETURN = r"""
recovery:
  description: What was chosen and what is done.
  returned: success
  type: dict
  contains:
    stack:
      description: See O(stack).
      type: str
    started:
      description: When the backups were chosen.
      type: str
    chosen:
      description: Id of the backup by kind.
      type: dict
    state:
      description: Whether releases, secrets and certificates came back. If not, the release is to be deployed first.
      type: bool
    done:
      description:
        - What each restore told, by kind. C(id) names the backup, C(until) the moment up to which everything is there,
          C(seconds) how long it took.
      type: dict
    warnings:
      description: What did not come back, and why.
      type: list
      elements: str
    finished:
      description: When the stack served again.
      type: str
    release:
      description: Name of the release that serves.
      returned: for step V(data)
      type: str
    images:
      description: The images of that release by digest, by service.
      returned: for step V(data)
      type: dict
    loss:
      description: What of the database is missing.
      returned: for step V(data)
      type: dict
      contains:
        until:
          description: The moment up to which everything is there.
          type: str
        seconds:
          description: The time from then to O(lost_at), or to the start of the recovery if that was not told.
          type: float
        at_most:
          description: Whether O(lost_at) was not told, so that it may be less.
          type: bool
job:
  description: Id of the agent's job.
  returned: when the work was started
  type: str
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.slipway.vps.plugins.module_utils.agent import jobs
from ansible_collections.slipway.vps.plugins.module_utils.common import validate
from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError
from ansible_collections.slipway.vps.plugins.module_utils.recover import state

OPTIONS: dict[str, Any] = {
    "stack": {"type": "str", "required": True},
    "step": {"type": "str", "choices": ["state", "data"], "required": True},
    "time": {"type": "str"},
    "ids": {"type": "dict", "default": {}},
    "lost_at": {"type": "str"},
    "age_identity_file": {"type": "path"},
    **jobs.ARGUMENT_SPEC,
}


def main() -> None:
    module = AnsibleModule(argument_spec=OPTIONS, supports_check_mode=True)
    try:
        module.exit_json(**run(module))
    except SlipwayError as error:
        module.fail_json(msg=str(error))


def run(module: AnsibleModule) -> dict[str, Any]:
    request = {name: module.params[name] for name in ("stack", "time", "ids", "lost_at")}
    validate.stack_name(request["stack"])
    request["identity_file"] = module.params["age_identity_file"]
    if module.check_mode:
        return {"changed": True, "recovery": state.plan(request)}
    step = module.params["step"]
    return jobs.submit(f"recover.{step}", request, f"recovery of {request['stack']} ({step})", module.params)


if __name__ == "__main__":
    main()
