# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What was taken away with its data comes back from the bucket."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.mark.long
def test_the_stack_comes_back_by_a_job(server: Any) -> None:
    told = server.job("recover").artifacts["recovery"][server.name]
    assert "postgres" in told["done"]
    assert server.web.products(f"alpha.{server.zone}") == []
