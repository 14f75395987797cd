# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The modules that work through the agent: their integration targets, beside a stack that goes on serving."""

from __future__ import annotations

from typing import Any

import pytest


# The short form has the same modules in the scenarios.
@pytest.mark.long
def test_targets_that_need_a_server(playbook: Any, web: Any) -> None:
    playbook("tests/integration/on_a_server.yml")
    assert web.ask("shop.test", "/health").status == 200
