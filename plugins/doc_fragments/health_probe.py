# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later


from __future__ import annotations

from ansible_collections.slipway.vps.plugins.module_utils.probe.arguments import documentation


class ModuleDocFragment:
    """The option O(probes), made from the probe types themselves, so that the two cannot drift apart."""

    DOCUMENTATION = documentation()
