# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """What the modules share whose work is a job of the installed agent."""

    DOCUMENTATION = r"""
options:
  wait:
    description:
      - Whether to wait for the end. If not, RV(job) is returned at once; follow it with M(slipway.vps.agent_job).
    type: bool
    default: true
  timeout:
    description: Seconds to wait for the end. The work goes on after that.
    type: int
    default: 14400
"""
