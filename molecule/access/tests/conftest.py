# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Iterator

import pytest
from slipway_access import Ways, prepared
from slipway_lab import Server


@pytest.fixture
def ways(server: Server) -> Iterator[Ways]:
    """The ways into the server, which are open again after each test."""
    with prepared(server) as found:
        yield found
