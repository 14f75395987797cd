# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os

import pytest
from slipway_leagues import Leagues
from slipway_system import System


@pytest.fixture(scope="session")
def server() -> System:
    return System(os.environ["SLIPWAY_HOST"], "derbyops", "derbyops1")


@pytest.fixture(scope="session")
def leagues(server: System, tmp_path_factory: pytest.TempPathFactory) -> Leagues:
    return Leagues(server, tmp_path_factory.mktemp("leagues"))
