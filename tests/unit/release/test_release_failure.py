# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What people are told when a release was given up."""

from __future__ import annotations

import errno

from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError
from ansible_collections.slipway.vps.plugins.module_utils.release import failure, slots

DETAILS = {
    "probe": {
        "address": "http://127.0.0.1:18001/health (Host: shop.test)",
        "status": 500,
        "headers": {"content-type": "text/plain"},
        "body": "no database\n",
        "complaint": "status 500 instead of 2xx or 3xx",
    },
    "diagnosis": [
        {
            "container": "shop-green-api-1",
            "service": "api",
            "status": "running",
            "health": "unhealthy",
            "exit_code": 0,
            "restarts": 2,
            "health_log": ["connection refused"],
            "log": ["first line", "last line"],
        }
    ],
    "failed_phase": "probe",
}


def test_everything_that_was_seen_is_told() -> None:
    assert failure.explanation(DETAILS) == [
        "Answer of http://127.0.0.1:18001/health (Host: shop.test): status 500 instead of 2xx or 3xx",
        "  content-type: text/plain",
        "  no database",
        "Container shop-green-api-1: running, health unhealthy, exit status 0, restarted 2 times",
        "  its health check said:",
        "    connection refused",
        "  its last lines:",
        "    first line",
        "    last line",
    ]
    assert failure.explanation({"output": ["ERROR: no such type"]}) == [
        "Output of the command:",
        "  ERROR: no such type",
    ]
    assert failure.explanation({}) == []


def test_a_health_check_that_printed_nothing_says_so() -> None:
    quiet = {**DETAILS["diagnosis"][0], "health_log": ["", ""], "log": []}
    told = failure.explanation({"diagnosis": [quiet]})
    assert told[1:] == ["  its health check said: (nothing)", "  its last lines: (nothing)"]


def test_what_was_printed_is_not_repeated_in_the_result() -> None:
    kept = failure.brief({**DETAILS, "output": ["x"]})
    assert "output" not in kept and kept["failed_phase"] == "probe"
    assert kept["diagnosis"][0]["restarts"] == 2
    assert not {"log", "health_log"} & set(kept["diagnosis"][0])


def test_a_full_disk_is_a_sentence() -> None:
    said = failure.cause_of(OSError(errno.ENOSPC, "No space left on device", "/srv/shop/state.json"))
    assert said.message == "No space is left on the file system for /srv/shop/state.json."
    assert "docker system df" in said.hint


def test_any_other_failure_is_a_sentence_too() -> None:
    known = SlipwayError("It is so.")
    assert failure.cause_of(known) is known
    unknown = failure.cause_of(KeyError("ports"))
    assert unknown.message == "KeyError: 'ports'." and "journalctl" in unknown.hint


def test_short_secrets_are_not_looked_for() -> None:
    assert failure.redact("a correct horse", ["a", "correct horse"]) == "a ********"


def test_the_port_that_is_taken_is_found_in_what_docker_says() -> None:
    said = [
        "failed to bind host port for 127.0.0.1:18003:172.18.0.4:8080/tcp: address already in use",
        "listen tcp4 127.0.0.1:18003: bind: address already in use",
        "Bind for 127.0.0.1:18003 failed: port is already allocated",
    ]
    for text in said:
        found = slots.PORT_TAKEN.search(f"Error response from daemon: {text}")
        assert found and found.group(1) == "18003"
    line = 'LISTEN 0 5 127.0.0.1:18003 0.0.0.0:* users:(("python3",pid=4711,fd=3))'
    owner = slots.LISTENER.search(line)
    assert owner and owner.groups() == ("python3", "4711")
