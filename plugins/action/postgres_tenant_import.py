# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.slipway.vps.plugins.plugin_utils.job_action import JobAction


class ActionModule(JobAction):
    module = "slipway.vps.postgres_tenant_import"
