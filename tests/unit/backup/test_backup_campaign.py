# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A dozen faults between the client and the S3 server; the long campaign of 200 is in tests/long."""

from __future__ import annotations

import pytest

from .fault_campaign import of_files
from .fault_proxy import FAULTS

MIB = 1024 * 1024


@pytest.fixture
def campaign(files, s3, proxy):
    made = of_files(files, s3, proxy, seed=1, size=6 * MIB)
    made._good_run()
    return made


@pytest.mark.slow
def test_faults_that_pass_by_themselves_spoil_nothing(campaign):
    works = ("backup", "verify", "retain", "restore", "list")
    for number, kind in enumerate(FAULTS):
        campaign.round(works[number % len(works)], kind, after=1, count=1)
    assert campaign.hits == len(FAULTS)
    assert campaign.failures == 0, campaign.report()


@pytest.mark.slow
def test_a_server_that_goes_on_failing_is_told_and_nothing_is_lost(campaign):
    for number, work in enumerate(("backup", "list", "verify", "restore", "retain")):
        campaign.round(work, "slow_down", after=1, count=10_000)
        assert campaign.failures == number + 1, campaign.report()
