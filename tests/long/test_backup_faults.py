# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""200 faults between the client and the S3 server: nothing lost, nothing falsely green."""

from __future__ import annotations

import os
import random

from ansible_collections.slipway.vps.tests.unit.backup.conftest import (
    database,
    files,
    postgres,
    proxy,
    s3,
    shop,
    stack,
    stacks,
    state_directory,
)
from ansible_collections.slipway.vps.tests.unit.backup.fault_campaign import of_database, of_files
from ansible_collections.slipway.vps.tests.unit.backup.fault_log import of_log

__all__ = ["database", "files", "postgres", "proxy", "s3", "shop", "stack", "stacks", "state_directory"]

FAULTS = int(os.environ.get("SLIPWAY_FAULTS", "200"))
SEED = int(os.environ.get("SLIPWAY_FAULTS_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 30)
MIB = 1024 * 1024


def test_faults_while_files_are_backed_up(files, s3, proxy, capsys):
    campaign = of_files(files, s3, proxy, SEED, size=12 * MIB)
    campaign.run(FAULTS * 5 // 10)
    tell(capsys, campaign)


def test_faults_while_a_database_is_backed_up(shop, s3, proxy, capsys):
    campaign = of_database(shop, s3, proxy, SEED)
    campaign.run(FAULTS * 3 // 10)
    tell(capsys, campaign)


def test_faults_while_the_log_is_shipped(stack, proxy, capsys, monkeypatch):
    campaign = of_log(stack, proxy, SEED, monkeypatch)
    campaign.run(FAULTS * 2 // 10)
    tell(capsys, campaign)


def tell(capsys, campaign):
    with capsys.disabled():
        print(f"\n{campaign.report()}")
