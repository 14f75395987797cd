# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The system's own resolver against a name server that answers, refuses and is silent."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

SPACES = ["unshare", "--user", "--map-root-user", "--net", "--mount"]
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def resolve(tmp_path_factory):
    if subprocess.run([*SPACES, "true"], check=False, capture_output=True).returncode:
        pytest.skip("this machine allows no namespaces of one's own")
    place = tmp_path_factory.mktemp("dns")
    (place / "resolv.conf").write_text("nameserver 127.0.0.1\n")

    def run(*probes):
        program = str(Path(__file__).with_name("dns_world.py"))
        command = f'mount --bind {place}/resolv.conf /etc/resolv.conf && exec "$@"'
        words = [*SPACES, "sh", "-c", command, "sh", sys.executable, program, json.dumps(probes)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT / ".cache" / "collections")}
        started = time.monotonic()
        done = subprocess.run(words, check=False, capture_output=True, text=True, timeout=60, env=environment)
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        return found["probes"], found["seconds"], time.monotonic() - started

    return run


def test_names_that_resolve_and_that_do_not(resolve):
    names = ("shop.test", "two.test", "six.test", "none.test")
    probes, _seconds, _whole = resolve(
        *({"type": "dns", "target": name, "name": name} for name in names),
        {"type": "dns", "target": "two.test", "name": "right", "addresses": ["192.0.2.11"]},
        {"type": "dns", "target": "two.test", "name": "wrong", "addresses": ["192.0.2.11", "203.0.113.4"]},
    )
    assert [(probe["status"], probe["message"]) for probe in probes] == [
        ("ok", "resolves to 192.0.2.10"),
        ("ok", "resolves to 192.0.2.10, 192.0.2.11"),
        ("ok", "resolves to 2001:db8::4"),
        ("fail", probes[3]["message"]),
        ("ok", "resolves to 192.0.2.10, 192.0.2.11"),
        ("fail", "resolves to 192.0.2.10, 192.0.2.11 and not to 203.0.113.4"),
    ]
    assert probes[3]["message"].startswith("The name none.test does not resolve: ")
    assert probes[3]["hint"] == "Check the DNS record and /etc/resolv.conf."


def test_a_name_server_that_is_silent_holds_nobody_up(resolve):
    """The resolver itself waits for ten seconds, and cannot be woken: neither the run nor its process waits for it."""
    types = {"dns": "silent.test", "http": "http://silent.test/", "tls": "silent.test", "tcp": "silent.test:25"}
    definitions = [{"type": kind, "target": target, "name": kind} for kind, target in types.items()]
    postgres = {"type": "postgres", "target": "silent.test", "name": "postgres"}
    redis = {"type": "redis", "target": "silent.test", "name": "redis"}
    probes, seconds, whole = resolve(*definitions, postgres, redis, {"type": "memory", "name": "memory"})
    assert [probe["status"] for probe in probes] == ["fail"] * 6 + ["ok"]
    assert {probe["message"] for probe in probes[:6]} == {"no answer within 0.7 s"}
    assert seconds < 1.5
    assert whole < 8
