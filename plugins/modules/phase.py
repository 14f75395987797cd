#!/usr/bin/python
# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: phase
short_description: Note when a phase of a playbook run begins
version_added: 0.1.0
description:
  - Records a name and the time on the controller, for the table of phases that M(slipway.vps.summary) prints.
  - This is an action plugin. It opens no connection and changes nothing.
author: Slipway contributors (!UNKNOWN)
extends_documentation_fragment:
  - slipway.vps.attributes.read_only
options:
  name:
    description: Name of the phase that begins.
    type: str
    required: true
seealso:
  - module: slipway.vps.summary
"""

EXAMPLES = r"""
- name: Mark the phase
  slipway.vps.phase:
    name: nginx
"""

RETURN = r"""
ansible_facts:
  description: The marks of this run so far, under C(slipway_phases).
  returned: always
  type: dict
"""
