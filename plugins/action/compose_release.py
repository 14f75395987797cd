# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

from ansible.utils.display import Display

from ansible_collections.slipway.vps.plugins.module_utils.release import failure
from ansible_collections.slipway.vps.plugins.plugin_utils.job_action import JobAction

display = Display()


class ActionModule(JobAction):
    module = "slipway.vps.compose_release"

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        if not result.get("failed"):
            return result
        host = (task_vars or {}).get("inventory_hostname", "")
        for line in failure.explanation(result):
            display.display(f"  {host} | {line}")
        return failure.brief(result)
