# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.slipway.vps.plugins.module_utils.probe.types.redis import judge


def test_a_real_redis(redis_server, probe):
    good = probe(type="redis", target=f"127.0.0.1:{redis_server.port}", login_password=redis_server.password)
    assert good.status == "ok"
    assert good.message == f"Redis {good.observed['version']} answers"
    assert good.observed["used_memory_bytes"] > 0


def test_a_wrong_password_and_none(redis_server, probe):
    target = f"127.0.0.1:{redis_server.port}"
    wrong = probe(type="redis", target=target, login_password="hunter22")
    assert (wrong.status, wrong.message) == ("fail", "Redis refused the password.")
    assert "hunter22" not in str(wrong.as_dict())
    assert probe(type="redis", target=target).message == "Redis refused the password."


def test_nothing_there_and_no_answer(closed_port, hanging, probe):
    refused = probe(type="redis", target=f"127.0.0.1:{closed_port}")
    assert refused.message.startswith("Redis cannot be reached: ")
    silent = probe(type="redis", target=f"127.0.0.1:{hanging}", timeout=0.4)
    assert silent.status == "fail"
    assert silent.latency_ms < 1500


def test_a_redis_that_loads_or_cannot_write():
    assert judge({"redis_version": "7.2", "loading": 1}).status == "fail"
    bad = judge({"redis_version": "7.2", "loading": 0, "rdb_last_bgsave_status": "err"})
    assert (bad.status, bad.message) == ("warn", "answers, but its last write to disk failed")
