#!/usr/bin/python
# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: instances
short_description: Find the stacks of a host that a playbook is about
version_added: 0.1.0
description:
  - Reads C(stack_instances), and says which file of tasks a playbook has to include so that its tasks run once for each
    stack, with the variables of that entry laid over those of the inventory.
  - Values are not evaluated here but where they are used, so that C(stack_domain) may be made of C(stack_name).
  - Without C(stack_instances) there is one stack, and the file is that of the tasks themselves.
  - With C(stack_instance), a name or a list of names, only those stacks are meant. So it is with C(stack_name) on the
    command line.
  - An entry that is no dictionary, has no C(stack_name) or that of another one, sets what is no variable of a stack, or
    serves a host name of another one, is refused. So is a variable of the command line that several stacks set.
  - This is an action plugin. It opens no connection and changes nothing on the host. The file is written into Ansible's
    own temporary directory on the controller; it names variables and holds no value but the names of the stacks.
author: Slipway contributors (!UNKNOWN)
extends_documentation_fragment:
  - slipway.vps.attributes.read_only
options:
  tasks:
    description: Which tasks of the collection's playbooks, without the ending of the file, or an absolute path of others.
    type: str
    required: true
  after:
    description: Tasks that come after those of the last stack. Without C(stack_instances) they are left out.
    type: str
    default: ""
  one:
    description: Whether it must be one stack, because the tasks are not meant for several at once.
    type: bool
    default: false
  unlisted:
    description: Whether C(stack_name) may name a stack on the command line that is in no entry.
    type: bool
    default: false
  named_by:
    description: A variable of the playbook that names a stack on the command line, also one that is in no entry.
    type: str
    default: ""
  go_on:
    description: Whether a failure of one stack leaves the others their turn. It is kept in the fact C(__instances_failed).
    type: bool
    default: false
  secrets:
    description: Whether RV(secrets) is wanted. The secrets of all stacks are evaluated for it.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Find the stacks
  slipway.vps.instances:
    tasks: backup
    go_on: true
    after: instances_end
  register: __instances

- name: Back them up
  ansible.builtin.include_tasks: "{{ __instances.file }}"
"""

RETURN = r"""
file:
  description: Path of the tasks to include.
  returned: success
  type: str
names:
  description: The stacks of C(stack_instances).
  returned: success
  type: list
  elements: str
chosen:
  description: Those that are meant. Empty if there is one stack without C(stack_instances).
  returned: success
  type: list
  elements: str
domains:
  description: Host names of those that are meant.
  returned: success
  type: list
  elements: str
secrets:
  description: By the stack and the name of its secret, what is wrong with it, as P(slipway.vps.secret_faults#filter) says.
  returned: success
  type: dict
"""
