# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Follow a job of the agent from the controller and print its progress while it runs."""

from __future__ import annotations

import time
from typing import Any

from ansible.errors import AnsibleConnectionFailure
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ..module_utils.common.events import sentence

# Each question starts a module on the host, which costs it a quarter of a second of CPU.
POLL_SECONDS = 5
LOST_POLLS_ALLOWED = 20

display = Display()


class JobAction(ActionBase):
    """Starts the module without waiting, then polls the job, so that a lost connection loses no work."""

    module = ""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        follow = boolean(self._templar.template(arguments.get("wait", True)))
        if self._task.check_mode or self._task.async_val or not follow:
            return self._call(self.module, arguments, task_vars)
        started = self._call(self.module, {**arguments, "wait": False}, task_vars)
        job = started.pop("job", None)
        if started.get("failed") or not job:
            return started
        return {**started, **self._follow(job, task_vars)}

    def _call(self, module: str, arguments: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        return self._execute_module(module_name=module, module_args=arguments, task_vars=task_vars)

    def _ask(self, arguments: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        """What the job says; without `state` if the host is not reached, which is no failure of the job."""
        try:
            return self._call("slipway.vps.agent_job", arguments, task_vars)
        except AnsibleConnectionFailure as error:
            return {
                "msg": f"The host is not reached any more ({error}). The job goes on by itself, and the next run says "
                f"how it ended; on the host: slipway follow {arguments['job']}"
            }

    def _follow(self, job: str, task_vars: dict[str, Any] | None) -> dict[str, Any]:
        host = str(self._task.delegate_to or (task_vars or {}).get("inventory_hostname", ""))
        offset = 0
        lost = 0
        while True:
            view = self._ask({"job": job, "offset": offset, "wait": POLL_SECONDS, "tell": False}, task_vars)
            if "state" not in view:
                lost += 1
                if lost > LOST_POLLS_ALLOWED or view.get("failed"):
                    return {**view, "failed": True, "job": job}
                display.warning(f"{host}: the connection is lost, the job {job} goes on; asking again")
                time.sleep(POLL_SECONDS)
                continue
            lost = 0
            offset = view["offset"]
            for event in view["events"]:
                if event.get("event") != "start":
                    display.display(f"  {host} | {sentence(event)}")
            if view["state"] != "running":
                # Confirmed from here: on a host whose connection is lost, a reader may outlive whoever asked.
                self._ask({"job": job, "offset": offset}, task_vars)
                return outcome(view)


def outcome(view: dict[str, Any]) -> dict[str, Any]:
    """The finished job as the module's own result."""
    if view["state"] == "succeeded":
        return dict(view.get("result") or {})
    error = view.get("error") or {}
    message = f"{error.get('message', '')} {error.get('hint', '')}".strip()
    return {
        **(error.get("details") or {}),
        "failed": True,
        "msg": message,
        "failed_phase": error.get("phase", ""),
        "job": view["job"],
    }
