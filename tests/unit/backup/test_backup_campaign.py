# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A dozen faults between the client and the S3 server; the long campaign of 200 is in tests/long."""

from __future__ import annotations

import random

import pytest

from ansible_collections.slipway.vps.plugins.module_utils.backup import catalog, engine, verify
from ansible_collections.slipway.vps.plugins.module_utils.backup.store import stores
from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError
from ansible_collections.slipway.vps.plugins.module_utils.common.events import Emitter

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


@pytest.mark.long
def test_a_server_that_goes_on_failing_is_told_and_nothing_is_lost(campaign):
    for number, work in enumerate(("backup", "list", "verify", "restore", "retain")):
        campaign.round(work, "slow_down", after=1, count=10_000)
        assert campaign.failures == number + 1, campaign.report()


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("answer_lost", "?uploads"),  # it is begun a second time
        ("answer_lost", "POST zst?uploadId="),  # it is completed a second time
        ("answer_lost", "PUT"),
        ("answer_lost", "manifest.json"),
        ("cut_answer", "GET"),
        ("reset_sending", "partNumber="),
        ("cut_sending", "partNumber="),
    ],
)
def test_a_word_that_is_lost_on_the_way_is_no_failure_and_leaves_nothing(files, s3, proxy, kind, words):
    """Also where the server has done the work and only its answer is lost: a second request must not spoil it."""
    (files.uploads / "data").write_bytes(random.Random(1).randbytes(6 * MIB))  # noqa: S311 - test data
    spec = files.but(s3=s3.options(endpoint=proxy.endpoint, read_timeout=1.0, retries=3))
    proxy.arm(kind, words=words)
    result = engine.run(spec, Emitter.null())
    assert proxy.disarm() == 1
    assert result["warnings"] == []
    assert s3.uploads(files.prefix) == []
    verify.verify(files.spec, result["backup"]["id"], Emitter.null())


@pytest.mark.parametrize(("kind", "good"), [("answer_lost", True), ("reset_sending", False)])
def test_an_upload_that_the_server_has_forgotten_is_looked_for(files, s3, proxy, kind, good):
    """Completed, and the answer was lost: the object is there. Never completed: it is not, and that is a failure."""
    spec = files.but(s3=s3.options(endpoint=proxy.endpoint, read_timeout=1.0, retries=3))
    proxy.forgetful = True
    if not good:
        proxy.completed = _Everything()
    proxy.arm(kind, words="POST uploadId=")
    if good:
        made = engine.run(spec, Emitter.null())["backup"]
        verify.verify(files.spec, made["id"], Emitter.null())
    else:
        with pytest.raises(SlipwayError, match=r"is not there any more while completing|NoSuchUpload"):
            engine.run(spec, Emitter.null())
        assert s3.keys(files.prefix) == []
    assert s3.uploads(files.prefix) == []


class _Everything(set):
    """The server knows no upload at all."""

    def __contains__(self, _path):
        return True


def test_a_listing_goes_on_when_an_answer_breaks_off(files, s3, proxy):
    made = engine.run(files.spec, Emitter.null())["backup"]
    spec = files.but(s3=s3.options(endpoint=proxy.endpoint, retries=3))
    for kind in ("cut_answer", "reset_answer"):
        proxy.arm(kind, words="manifest.json")
        assert [one.id for one in catalog.entries(stores(spec))] == [made["id"]]
        assert proxy.disarm() == 1
