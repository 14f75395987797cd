# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import time
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.slipway.vps.plugins.plugin_utils.text_table import render

display = Display()


class ActionModule(ActionBase):
    """Prints a summary for people; nothing is done on the host."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        _validation, arguments = self.validate_argument_spec(
            argument_spec={
                "title": {"type": "str", "required": True},
                "tables": {
                    "type": "list",
                    "elements": "dict",
                    "default": [],
                    "options": {
                        "title": {"type": "str", "default": ""},
                        "columns": {"type": "list", "elements": "str", "required": True},
                        "rows": {"type": "list", "elements": "list", "required": True},
                    },
                },
                "lines": {"type": "list", "elements": "str", "default": []},
                "work": {"type": "list", "elements": "dict", "default": []},
                "phases": {"type": "bool", "default": False},
            },
        )
        tables = list(arguments["tables"])
        if arguments["work"]:
            tables.append(work_table(arguments["work"]))
        if arguments["phases"]:
            variables = task_vars or {}
            tables.append(phase_table(variables.get("ansible_facts", {}), str(variables.get("__instance", ""))))
        text = render(arguments["title"], tables, arguments["lines"])
        display.display("\n" + text)
        result.update(changed=False, text=text)
        return result


def work_table(phases: list[dict[str, Any]]) -> dict[str, Any]:
    columns = ["phase", "seconds", "result"]
    rows = [[phase["name"], phase["seconds"], phase["result"]] for phase in phases]
    return {"title": "Phases of the release", "columns": columns, "rows": rows}


def phase_table(facts: dict[str, Any], instance: str = "") -> dict[str, Any]:
    """How long each marked phase took: from its mark to the next one. Of one stack of several, only its own."""
    marks = (facts.get("slipway_phases") or {}).get("marks", [])
    ends = [*(mark["started"] for mark in marks), time.time()][1:]
    took = [
        (" ".join(filter(None, [mark["name"], mark.get("instance") if not instance else ""])), end - mark["started"])
        for mark, end in zip(marks, ends, strict=True)
        if not instance or mark.get("instance") == instance
    ]
    rows = [[name, f"{seconds:.1f} s"] for name, seconds in took]
    if rows:
        rows.append(["total", f"{sum(seconds for _name, seconds in took):.1f} s"])
    return {"title": "Phases", "columns": ["phase", "time"], "rows": rows}
