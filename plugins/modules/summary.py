#!/usr/bin/python
# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: summary
short_description: Print a summary that a person likes to read
version_added: 0.1.0
description:
  - Prints a title, tables with aligned columns and free lines on the controller's standard output.
  - This is an action plugin. It opens no connection and changes nothing.
author: Slipway contributors (!UNKNOWN)
extends_documentation_fragment:
  - slipway.vps.attributes.read_only
options:
  title:
    description: Heading of the summary.
    type: str
    required: true
  tables:
    description: Tables in the order in which they are printed.
    type: list
    elements: dict
    default: []
    suboptions:
      title:
        description: Heading of the table.
        type: str
        default: ""
      columns:
        description: Column headings.
        type: list
        elements: str
        required: true
      rows:
        description: One list of cells per row, as many as there are columns.
        type: list
        elements: list
        required: true
  lines:
    description: Lines printed below the tables.
    type: list
    elements: str
    default: []
  work:
    description:
      - Phases of a piece of work, such as RV(slipway.vps.compose_release#module:phases); each has a C(name), its C(seconds)
        and its C(result). A table of them comes after O(tables), unless there are none.
    type: list
    elements: dict
    default: []
  phases:
    description: Add a table of the phases marked with M(slipway.vps.phase) and the seconds each took.
    type: bool
    default: false
seealso:
  - module: slipway.vps.phase
"""

EXAMPLES = r"""
- name: Say what was done
  slipway.vps.summary:
    title: The shop is up
    tables:
      - title: Addresses
        columns: [host, status]
        rows:
          - [shop.example.org, ok]
    phases: true
"""

RETURN = r"""
text:
  description: The text that was printed.
  returned: always
  type: str
"""
