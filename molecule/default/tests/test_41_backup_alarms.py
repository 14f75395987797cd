# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The host itself tells when a backup's timer is stopped or its work is killed, and when all is good again."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
from slipway_receiver import URL, receiver

ALERTS = "/etc/slipway/alerts/shop.json"
SAVED = "/run/slipway-test-alerts.json"
CHECK = "systemctl start slipway-backup-check@shop.service"


@pytest.fixture
def told(vps: Any) -> Iterator[Any]:
    """What a receiver on the host was told, as (status, key)."""
    before = vps.check_output(f"cp --archive {ALERTS} {SAVED} && cat {ALERTS}")
    hook = {"url": URL, "name": "test"}
    wanted = json.dumps({**json.loads(before), "webhooks": [hook]})
    vps.check_output(f"printf %s {shlex.quote(wanted)} > {ALERTS}")
    with receiver(vps) as heard:
        yield heard
    vps.check_output(f"mv {SAVED} {ALERTS}")


def test_the_check_is_armed_and_all_is_well(vps: Any) -> None:
    assert vps.check_output("systemctl is-active slipway-backup-check@shop.timer") == "active"
    done = vps.run("slipway backup check shop")
    assert done.rc == 0 and "as they should be" in done.stdout, done.stdout + done.stderr


def test_a_stopped_timer_is_told_and_that_it_runs_again(vps: Any, told: Any) -> None:
    key = "unit.slipway-backup@shop.timer"
    vps.check_output("systemctl stop slipway-backup@shop.timer")
    vps.check_output(CHECK)
    vps.check_output(CHECK)
    assert told() == [("firing", key)]
    vps.check_output("systemctl start slipway-backup@shop.timer")
    vps.check_output(CHECK)
    assert told() == [("firing", key), ("resolved", key)]


def test_a_backup_that_is_killed_is_told_although_it_could_say_nothing(vps: Any, told: Any) -> None:
    key = "unit.slipway-backup-files@shop.service"
    # A command of its own in its place, which is killed as the kernel kills for want of memory.
    place = "/run/systemd/system/slipway-backup-files@shop.service.d"
    killed = "[Service]\\nExecStart=\\nExecStart=/bin/sh -c 'kill -KILL $$$$'\\n"
    vps.check_output(f"mkdir -p {place} && printf {shlex.quote(killed)} > {place}/test.conf && systemctl daemon-reload")
    try:
        vps.run("systemctl start slipway-backup-files@shop.service")
        # OnFailure= starts the check; this one waits for it.
        vps.check_output(CHECK)
        assert told() == [("firing", key)]
    finally:
        vps.check_output(f"rm -r {place} && systemctl daemon-reload")
    vps.check_output("systemctl start slipway-backup-files@shop.service")
    vps.check_output(CHECK)
    assert told() == [("firing", key), ("resolved", key)]


def test_the_address_of_a_webhook_is_for_root_only(vps: Any) -> None:
    assert vps.file(ALERTS).mode == 0o600
