# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The host probes itself: metrics each time, and a webhook only when a state changes."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
from slipway_receiver import URL, receiver

METRICS = "/run/slipway_health_unit.prom"
# A subject of its own, with a unit that the test starts and stops.
PROBES = {
    "probes": [{"name": "a unit", "type": "systemd", "target": "slipway-test-unit.service"}],
    "watch": {"retries": 0, "metrics_directory": "/run"},
}
ALERTS = {"version": 1, "repeat_hours": 0, "webhooks": [{"name": "test", "url": URL}]}
LOOK = "systemctl start slipway-health@unit.service"
UNIT = "systemd-run --unit=slipway-test-unit sleep 600"


@pytest.fixture
def told(vps: Any) -> Iterator[Any]:
    """What a receiver on the host was told, as (status, key)."""
    for path, content in (("probes/unit.json", PROBES), ("alerts/unit.health.json", ALERTS)):
        vps.check_output(f"printf %s {shlex.quote(json.dumps(content))} > /etc/slipway/{path}")
    vps.check_output(UNIT)
    with receiver(vps) as heard:
        yield heard
    vps.run("systemctl stop slipway-test-unit")
    vps.run(f"rm -f {METRICS} /etc/slipway/probes/unit.json /etc/slipway/alerts/unit.health.json")
    vps.run("rm -f /var/lib/slipway/alerts/unit.health.*")


def test_the_timer_of_the_stack_is_armed_and_its_work_stays_behind_visitors(vps: Any) -> None:
    assert vps.check_output("systemctl is-active slipway-health@shop.timer") == "active"
    assert vps.check_output("systemctl is-enabled slipway-health@shop.timer") == "enabled"
    assert vps.check_output("systemctl show --property=Slice --value slipway-health@shop.service") == "background.slice"
    done = vps.run("systemctl start slipway-health@shop.service")
    assert done.rc == 0, vps.run("journalctl -u slipway-health@shop.service -n 50").stdout


def test_a_change_is_told_once_and_metrics_are_written_each_time(vps: Any, told: Any) -> None:
    vps.check_output(LOOK)
    assert told() == []
    assert 'slipway_probe_status{stack="unit",name="a unit"' in vps.check_output(f"cat {METRICS}")
    vps.check_output("systemctl stop slipway-test-unit")
    for _repetition in range(2):
        vps.check_output(LOOK)
    assert told() == [("firing", "probe:a unit")]
    assert 'slipway_probes_status{stack="unit"} 2' in vps.check_output(f"cat {METRICS}")
    vps.check_output(UNIT)
    for _repetition in range(2):
        vps.check_output(LOOK)
    assert told()[1:] == [("resolved", "probe:a unit")]
