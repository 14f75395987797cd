#!/usr/bin/python
# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: checklist
short_description: Go through a deployment's check list
version_added: 0.1.0
description:
  - Looks at what each line of the list is about and gives it a tick, or the reason why it has none.
  - The module does not fail over a line. The playbooks stop before a release when a required line has no tick.
author: Slipway contributors (!UNKNOWN)
extends_documentation_fragment:
  - slipway.vps.attributes.read_only
options:
  stack:
    description: Name of the stack.
    type: str
    required: true
  release:
    description: Name of the release that is asked for.
    type: str
    required: true
  moment:
    description: When it is; a line that is required can only be one V(before) a release.
    type: str
    choices: [before, during, after]
    required: true
  lines:
    description: The lines of this moment.
    type: list
    elements: dict
    default: []
    suboptions:
      text:
        description: What people call it.
        type: str
        required: true
      check:
        description:
          - What is looked at. V(confirmed), whether C(release) is the one that is asked for; V(environment), whether
            C(names) have values; V(secrets), whether each has C(min_length) characters; V(disk), whether C(path) has
            C(free_gb); V(units), whether C(names) are active; V(backup), whether the last good one of C(kind) is younger
            than C(max_age_hours).
          - V(phases), whether the release got through C(names); V(released), whether it serves; V(up), whether all of its
            containers are; V(health), whether its health paths answer; V(logs), whether the last C(lines) of its containers
            have none that matches C(pattern).
          - V(connections), whether under C(max_percent) of the database's are taken; V(response_times), whether health paths
            answer within C(max_ms); V(rollback), whether there is a release to go back to.
        type: str
        required: true
      required:
        description: Whether a release must not begin without its tick.
        type: bool
        default: false
      with:
        description: Options of the check.
        type: dict
        default: {}
  env:
    description: By name of a plain variable, the length of its value.
    type: dict
    default: {}
  secrets:
    description: By name of a secret, the length of its value. The values themselves are not passed.
    type: dict
    default: {}
  database:
    description: The database, as C(stack_database) describes it.
    type: dict
    default: {}
    suboptions:
      service:
        description: Data service of the Compose file. Empty means a server outside of the stack.
        type: str
      host:
        description: That server.
        type: str
      port:
        description: Its port.
        type: int
      name:
        description: Database.
        type: str
      user:
        description: Role of the application.
        type: str
      password:
        description: Its password.
        type: str
      sslmode:
        description: TLS of the connection.
        type: str
      ca_cert:
        description: File on the host with the CA that signed the server's certificate.
        type: path
  phases:
    description: What the release did, RV(slipway.vps.compose_release#module:phases).
    type: list
    elements: dict
    default: []
  released:
    description: Whether it did anything.
    type: bool
    default: false
requirements:
  - python3-docker and python3-psycopg2, for the checks that ask Docker and PostgreSQL
seealso:
  - module: slipway.vps.compose_release
  - module: slipway.vps.health_probe
"""

EXAMPLES = r"""
- name: Go through the list before a release
  slipway.vps.checklist:
    stack: shop
    release: 1.4.2
    moment: before
    lines:
      - text: Backup taken
        check: backup
        required: true
        with: {max_age_hours: 24}
      - text: Disk space
        check: disk
        with: {free_gb: 10}
  register: before
"""

RETURN = r"""
lines:
  description: The lines, in their order.
  returned: success
  type: list
  elements: dict
  contains:
    text:
      description: The line.
      type: str
    check:
      description: What was looked at.
      type: str
    required:
      description: Whether a release must not begin without its tick.
      type: bool
    ticked:
      description: Whether it is as it should be.
      type: bool
    seen:
      description: What was seen, or why there is no tick.
      type: str
rows:
  description: The same for a table, each with a tick or a cross, the line and what was seen.
  returned: success
  type: list
  elements: list
stops:
  description: Sentences about the required lines without a tick.
  returned: success
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.slipway.vps.plugins.module_utils.checklist import engine
from ansible_collections.slipway.vps.plugins.module_utils.checklist.facts import Asked
from ansible_collections.slipway.vps.plugins.module_utils.checklist.lines import MOMENTS
from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError

LINE = {
    "text": {"type": "str", "required": True},
    "check": {"type": "str", "required": True},
    "required": {"type": "bool", "default": False},
    "with": {"type": "dict", "default": {}},
}
DATABASE = {
    **{name: {"type": "str"} for name in ("service", "host", "name", "user", "sslmode")},
    "port": {"type": "int"},
    "ca_cert": {"type": "path"},
    "password": {"type": "str", "no_log": True},
}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "stack": {"type": "str", "required": True},
            "release": {"type": "str", "required": True},
            "moment": {"type": "str", "required": True, "choices": list(MOMENTS)},
            "lines": {"type": "list", "elements": "dict", "default": [], "options": LINE},
            "env": {"type": "dict", "default": {}},
            # Their lengths, which are no secrets.
            "secrets": {"type": "dict", "default": {}, "no_log": False},
            "database": {"type": "dict", "default": {}, "options": DATABASE},
            "phases": {"type": "list", "elements": "dict", "default": []},
            "released": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    given = module.params
    asked = Asked(**{name: given[name] for name in Asked.__dataclass_fields__})
    try:
        found = engine.go_through(given["moment"], given["lines"], asked)
    except SlipwayError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, lines=found, rows=engine.rows(found), stops=engine.stops(found))


if __name__ == "__main__":
    main()
