# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import time
from typing import Any

from ansible.plugins.action import ActionBase

FACT = "slipway_phases"
INSTANCE = "__instance"


class ActionModule(ActionBase):
    """Notes when a phase of this run begins on a host; nothing is done on the host itself."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        _validation, arguments = self.validate_argument_spec(
            argument_spec={"name": {"type": "str", "required": True}},
        )
        facts = (task_vars or {}).get("ansible_facts", {})
        # The parent is the ansible process of this run: phases kept by a fact cache from an earlier run are dropped.
        run = os.getppid()
        known = facts.get(FACT) or {}
        marks = list(known.get("marks", [])) if known.get("run") == run else []
        mark = {"name": arguments["name"], "started": round(time.time(), 2)}
        # One stack of several.
        if instance := (task_vars or {}).get(INSTANCE):
            mark["instance"] = str(instance)
        marks.append(mark)
        result.update(changed=False, ansible_facts={FACT: {"run": run, "marks": marks}})
        return result
