# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whatever is asked of whomever, with whatever limits: one result for each probe, in order and in time."""

from __future__ import annotations

import os
import threading
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.slipway.vps.plugins.module_utils.probe import engine
from ansible_collections.slipway.vps.plugins.module_utils.probe.runner import GRACE

EXAMPLES = 60 if os.environ.get("SLIPWAY_LONG") else 20
SERVERS = ("web", "hanging", "trickling", "hanging_up", "closed_port")
PROBE = st.fixed_dictionaries(
    {
        "server": st.sampled_from(SERVERS),
        "type": st.sampled_from(["http", "tcp", "tls", "redis", "postgres", "websocket"]),
        "timeout": st.floats(0.01, 0.15),
        "retries": st.integers(0, 3),
        "interval": st.floats(0, 0.05),
        "successes": st.integers(1, 3),
    }
)


@pytest.mark.slow
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    wanted=st.lists(PROBE, max_size=12),
    deadline=st.none() | st.floats(0.05, 0.5),
    concurrency=st.integers(1, 6),
)
def test_one_result_for_each_probe(request, wanted, deadline, concurrency):
    ports = {name: request.getfixturevalue(name) for name in SERVERS}
    ports["web"] = ports["web"].server_port
    probes = [definition(number, dict(one), ports) for number, one in enumerate(wanted)]
    started = time.monotonic()
    report = engine.check(engine.Request(probes, concurrency=concurrency, deadline=deadline))
    seconds = time.monotonic() - started
    assert [result.name for result in report.probes] == [probe["name"] for probe in probes]
    assert all(result.message and result.expected for result in report.probes)
    assert all(result.attempts <= most(probe) for result, probe in zip(report.probes, probes, strict=True))
    longest = sum((probe["timeout"] + probe["interval"]) * most(probe) for probe in probes)
    # Whole seconds of slack are for a busy machine, not for the code.
    assert seconds < (longest if deadline is None else min(longest, deadline)) + GRACE + 2
    assert [one for one in threading.enumerate() if one.name.startswith("probe ")] == []


def most(probe):
    """Attempts: before each bad one there may be all good ones but the last."""
    return (probe["retries"] + 1) * probe["successes"]


def definition(number, probe, ports):
    port = ports[probe.pop("server")]
    kind = probe["type"]
    target = {"http": f"http://127.0.0.1:{port}/", "websocket": f"ws://127.0.0.1:{port}/"}
    if kind == "postgres":
        return {**probe, "name": str(number), "target": "127.0.0.1", "login_port": port}
    return {**probe, "name": str(number), "target": target.get(kind, f"127.0.0.1:{port}")}
