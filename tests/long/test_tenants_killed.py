# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A run over tenants is killed before and after each of its statements; every time the next run converges."""

from __future__ import annotations

import itertools
import signal

import pytest

from ansible_collections.slipway.vps.tests.unit.tenancy.conftest import database, postgres, shop
from ansible_collections.slipway.vps.tests.unit.tenancy.test_killed import killed_at

__all__ = ["database", "postgres", "shop"]


@pytest.mark.parametrize("side", ["before", "after"])
def test_killed_at_every_statement(shop, side):
    for number in itertools.count(1):
        code = killed_at(shop, number, side)
        if code != -signal.SIGKILL:
            break
    assert code == 0
    assert number > 45  # it has been through all of a run
