# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later


from __future__ import annotations

DOCUMENTATION = r"""
name: health_views
short_description: Tell a fault of the host from a fault on the way to it
version_added: 0.1.0
author: Slipway contributors (!UNKNOWN)
description:
  - Compares the results of the same sites as the host itself and as somebody outside saw them.
positional: _input
options:
  _input:
    description: Results of M(slipway.vps.health_probe) that ran on the host.
    type: list
    elements: dict
    required: true
  outside:
    description: Results of M(slipway.vps.health_probe) that ran elsewhere, such as on the controller.
    type: list
    elements: dict
    required: true
  addresses:
    description: Public addresses of the host, to tell whether a name leads to it.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Say where the fault is
  ansible.builtin.debug:
    msg: "{{ on_the_host.probes | slipway.vps.health_views(from_here.probes, ['203.0.113.4']) }}"
"""

RETURN = r"""
_value:
  description: A sentence for each host name of which the views differ, or which fails in both.
  type: list
  elements: str
"""

from collections.abc import Callable, Sequence
from typing import Any

from ansible_collections.slipway.vps.plugins.module_utils.probe.views import compare


def health_views(inside: Any, outside: Any, addresses: Sequence[str] = ()) -> list[str]:
    return compare(inside or [], outside or [], addresses)


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"health_views": health_views}
