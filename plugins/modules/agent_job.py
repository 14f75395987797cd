#!/usr/bin/python
# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: agent_job
short_description: Read the progress and the result of work that the agent does
version_added: 0.1.0
description:
  - Modules such as M(slipway.vps.compose_release) and M(slipway.vps.postgres_backup) start the agent on the host as a
    transient systemd unit, so that the work survives a lost connection. This module reads what such a job has told.
  - The action plugins of those modules call it for you. Use it to pick up a job that was started without waiting.
author: Slipway contributors (!UNKNOWN)
extends_documentation_fragment:
  - slipway.vps.attributes.read_only
options:
  job:
    description: Id of the job, as returned by the module that started it.
    type: str
    required: true
  offset:
    description: Position, in bytes, after which events are returned. Pass RV(offset) of the call before.
    type: int
    default: 0
  wait:
    description:
      - Seconds to wait for the end of the job; then what it has told so far is returned.
      - Each call costs the host the start of a module, so a short time costs a busy host more.
    type: float
    default: 0
  tell:
    description:
      - Whether the end of the job counts as told once it was read. The next run reports every end that nobody was told.
      - The action plugins read without it and confirm afterwards, because what is read may never arrive.
    type: bool
    default: true
"""

EXAMPLES = r"""
- name: Wait until the release is done
  slipway.vps.agent_job:
    job: "{{ started.job }}"
    wait: 5
  register: progress
  until: progress.state != 'running'
  retries: 200
  delay: 0
"""

RETURN = r"""
job:
  description: Id of the job.
  returned: success
  type: str
state:
  description: V(running), V(succeeded), V(failed), or V(lost) when its process ended without a result.
  returned: success
  type: str
offset:
  description: Position up to which events were read.
  returned: success
  type: int
events:
  description: Events after O(offset), each with C(time) (seconds since the epoch) and C(event).
  returned: success
  type: list
  elements: dict
result:
  description: The result of a job that succeeded.
  returned: when RV(state=succeeded)
  type: dict
error:
  description: What went wrong (C(message), C(hint), C(phase), C(details)).
  returned: when RV(state) is V(failed) or V(lost)
  type: dict
"""

from dataclasses import asdict

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.slipway.vps.plugins.module_utils.agent import jobs
from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "job": {"type": "str", "required": True},
            "offset": {"type": "int", "default": 0},
            "wait": {"type": "float", "default": 0},
            "tell": {"type": "bool", "default": True},
        },
        supports_check_mode=True,
    )
    try:
        view = jobs.view(module.params["job"], module.params["offset"], module.params["wait"], collect=True)
        if view.finished and module.params["tell"] and not module.check_mode:
            jobs.tell(view.job)
    except SlipwayError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, **asdict(view))


if __name__ == "__main__":
    main()
