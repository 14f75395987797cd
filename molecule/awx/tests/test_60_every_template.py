# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""No job template was left out by the tests before this one."""

from __future__ import annotations

from typing import Any

# Never against a server: tests/unit/awx runs it against a simulated API.
ELSEWHERE = {"awx"}
ONLY_DRY = {"harden", "recover"}


def test_every_job_template_was_run(server: Any) -> None:
    launched = server.awx.launched
    assert {*launched} == {*server.awx.templates} - ELSEWHERE
    dry = {name for name, jobs in launched.items() if all(job.endswith("check") for job in jobs)}
    assert dry <= ONLY_DRY
