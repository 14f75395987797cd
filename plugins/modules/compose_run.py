#!/usr/bin/python
# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: compose_run
short_description: Run a one-off command with the image and environment of the release that serves
version_added: 0.1.0
description:
  - Starts a fresh container of a service of the release that serves, runs the command in it, shows what it prints while
    it prints it, and removes the container.
  - The command's exit status decides. The same command never runs twice at once; a second call while it runs follows the
    first.
  - A release may take over while the command runs. The release after that one waits for it.
  - The work is done by the installed agent in a systemd unit of its own, so it survives a lost connection.
author: Slipway contributors (!UNKNOWN)
extends_documentation_fragment:
  - slipway.vps.job
options:
  name:
    description: Name of the stack.
    type: str
    required: true
  service:
    description: Service of the Compose file whose image, environment, volumes and networks the command gets.
    type: str
    required: true
  command:
    description:
      - The command as a list of words, which the image's entrypoint gets, if it has one. No shell reads it.
      - A text is taken as JSON if it begins with a bracket, and is otherwise cut into words.
    type: raw
    required: true
  entrypoint:
    description: Program to start in place of the image's entrypoint.
    type: str
    default: ""
  time_limit:
    description: Seconds after which the command is stopped.
    type: int
    default: 3600
  lock_wait:
    description: Seconds to wait for a release that is under way.
    type: int
    default: 60
  requested_by:
    description: Who asked for it, for whoever waits for the lock meanwhile.
    type: str
attributes:
  check_mode:
    description: Tells which release the command would run in.
    support: full
  diff_mode:
    description: Nobody knows what a command changes.
    support: none
  idempotent:
    description: Every call runs the command.
    support: none
requirements:
  - the agent (role P(slipway.vps.agent#role))
  - python3-docker
seealso:
  - module: slipway.vps.compose_release
"""

EXAMPLES = r"""
- name: Write the monthly report
  slipway.vps.compose_run:
    name: shop
    service: api
    command: [./api, report, --month, "2026-11"]
    time_limit: 900
"""

RETURN = r"""
rc:
  description: Exit status of the command.
  returned: when it ran
  type: int
output:
  description: What it printed, standard output and standard error, the last 1,000 lines. Secrets of the stack are masked.
  returned: when it ran
  type: list
  elements: str
seconds:
  description: How long it took.
  returned: when it ran
  type: float
command:
  description: The words of the command, with the entrypoint if one was given.
  returned: success
  type: list
  elements: str
release:
  description: Number of the release that it ran in (or would).
  returned: success
  type: int
release_name:
  description: Its name.
  returned: success
  type: str
slot:
  description: Its slot.
  returned: success
  type: str
job:
  description: Id of the agent's job.
  returned: when a job was started
  type: str
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.slipway.vps.plugins.module_utils.agent import jobs
from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError
from ansible_collections.slipway.vps.plugins.module_utils.operations import oneoff, selection

OPTIONS: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "service": {"type": "str", "required": True},
    "command": {"type": "raw", "required": True},
    "entrypoint": {"type": "str", "default": ""},
    "time_limit": {"type": "int", "default": 3600},
    "lock_wait": {"type": "int", "default": 60},
    "requested_by": {"type": "str"},
    **jobs.ARGUMENT_SPEC,
}


def main() -> None:
    module = AnsibleModule(argument_spec=OPTIONS, supports_check_mode=True)
    try:
        module.exit_json(**run(module))
    except SlipwayError as error:
        module.fail_json(msg=str(error), **error.details)


def run(module: AnsibleModule) -> dict[str, Any]:
    request = {key: value for key, value in module.params.items() if key not in ("name", *jobs.ARGUMENT_SPEC)}
    request["stack"] = module.params["name"]
    wish = oneoff.read(request)
    words = [*filter(None, [wish.entrypoint]), *wish.command]
    where = oneoff.plan(wish, selection.host_of(wish.stack))
    found = {
        "changed": True,
        "command": words,
        "release": where.release,
        "release_name": where.release_name,
        "slot": where.slot,
    }
    if module.check_mode:
        return found
    label = f"command of {wish.service} in {wish.stack}"
    return {**found, **jobs.submit("operations.run", request, label, module.params)}


if __name__ == "__main__":
    main()
