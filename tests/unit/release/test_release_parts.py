# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Env file, fingerprints, drain, retention, health verdicts, records: one small thing each."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError
from ansible_collections.slipway.vps.plugins.module_utils.release import (
    dotenv,
    drain,
    failure,
    fingerprint,
    health,
    images,
    networks,
    record,
    retention,
)
from ansible_collections.slipway.vps.plugins.module_utils.release.daemon import Container
from ansible_collections.slipway.vps.plugins.module_utils.release.model import Model
from ansible_collections.slipway.vps.plugins.module_utils.release.paths import StackPaths
from ansible_collections.slipway.vps.plugins.module_utils.release.spec import Spec
from ansible_collections.slipway.vps.plugins.module_utils.release.store import Store

KEY = b"k" * 32
NOW = datetime(2026, 11, 21, 12, 0, 10, tzinfo=timezone.utc)


@given(
    st.dictionaries(
        st.from_regex(r"[A-Z_][A-Z0-9_]{0,8}", fullmatch=True), st.text(st.characters(exclude_characters="\0"))
    )
)
def test_an_env_file_reads_back_as_itself(values: dict[str, str]) -> None:
    assert dotenv.parse(dotenv.render(values)) == values


def test_a_fingerprint_changes_with_whatever_decides_what_runs(spec: Spec) -> None:
    first = fingerprint.of_release(spec, {}, KEY)
    assert fingerprint.of_release(spec, {}, KEY) == first
    others = [
        replace(spec, release="1.0.1"),
        replace(spec, compose="services: {a: {}}"),
        replace(spec, env={}),
        replace(spec, secrets={"POSTGRES_PASSWORD": "battery staple"}),
        replace(spec, replicas={"api": 2}),
        replace(spec, files={"init.sql": "abc"}),
        replace(spec, routes=spec.routes[:1]),
    ]
    marks = {fingerprint.of_release(other, {}, KEY) for other in others}
    marks.add(fingerprint.of_release(spec, {"0001.sql": "sum"}, KEY))
    assert len(marks) == len(others) + 1 and first not in marks


def test_a_secret_cannot_be_guessed_without_the_key() -> None:
    assert fingerprint.of_secret("1234", KEY) != fingerprint.of_secret("1234", b"x" * 32)
    assert "1234" not in fingerprint.of_secret("1234", KEY)


def test_secrets_are_taken_out_of_what_containers_said(spec: Spec) -> None:
    said = {"log": ["password is correct horse"], "number": 1}
    assert failure.redact(said, list(spec.secrets.values())) == {"log": ["password is ********"], "number": 1}


def test_a_stored_release_reads_back_as_itself(tmp_path: Path, spec: Spec, model: Model) -> None:
    store = Store(StackPaths("shop", stacks=tmp_path, nginx_stacks=tmp_path / "nginx"))
    store.prepare()
    made = record.make(3, spec, model, {"api": "api@sha256:0"}, "mark", "now", "me")
    store.write(made, {"blue": {"services": {}}})
    assert store.read(3) == made
    assert store.values(3) == spec.values
    assert store.numbers() == [3]
    assert store.mark_served(made).served and store.read(3).served
    place = store.paths.release(3)
    assert {path.stat().st_mode & 0o777 for path in place.iterdir()} == {0o600}
    assert "correct horse" not in (place / "release.json").read_text(encoding="utf-8")
    with pytest.raises(SlipwayError, match="not kept"):
        store.read(4)


def test_what_is_kept() -> None:
    assert retention.expired(range(1, 10), range(1, 10), 5, [2, 9]) == [1, 3, 4]


def test_drain_counts_connections_to_the_old_ports() -> None:
    assert drain.argv([18001, 18000]) == ["ss", "-Htn", "state", "established", "( dport = :18000 or dport = :18001 )"]


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_drain_waits_until_it_has_been_quiet_for_a_while() -> None:
    clock = Clock()
    left = drain.wait({18000: 30.0}, lambda ports: 3 if clock.now < 4 else 0, clock, clock.sleep)
    assert left == 0
    assert 5.0 <= clock.now < 6.0


def test_drain_has_a_limit_for_each_port() -> None:
    clock = Clock()
    asked: list[tuple[float, tuple[int, ...]]] = []

    def counter(ports: list[int]) -> int:
        asked.append((clock.now, tuple(ports)))
        return len(ports)

    assert drain.wait({18000: 3.0, 18001: 6.0}, counter, clock, clock.sleep) == 2
    assert 6.0 <= clock.now < 7.0
    assert all(ports == (18001,) for when, ports in asked if 3.0 <= when < 6.0)


def test_a_port_with_websockets_gets_their_limit(spec: Spec) -> None:
    limits = drain.limits(spec.routes, {"web": [1], "api": [2], "tenants": [2]}, 30, 60)
    assert limits == {1: 30, 2: 60}


def container(**changes: object) -> Container:
    values = {
        "id": "1",
        "name": "shop-blue-api-1",
        "service": "api",
        "status": "running",
        "health": "healthy",
        "exit_code": 0,
        "restarts": 0,
        "started_at": "2026-11-21T12:00:00.123456789Z",
        "image": "sha256:0",
        "networks": (),
        "ports": (),
        "grace": 10,
    }
    return Container(**{**values, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "checked", "to_the_end", "said"),
    [
        ({}, True, False, "ready"),
        ({"health": "starting"}, True, False, "waiting"),
        ({"health": "unhealthy"}, True, False, "its health check fails"),
        ({"health": "none"}, False, False, "ready"),
        ({"health": "none", "started_at": "2026-11-21T12:00:09.5Z"}, False, False, "waiting"),
        ({"status": "exited", "exit_code": 3}, True, False, "it ended with status 3 (restarted 0 times)"),
        ({"status": "restarting", "health": "unhealthy", "exit_code": 1}, True, False, "it ended with status 1"),
        ({"restarts": 3}, True, False, "restarted 3 times"),
        ({"status": "created"}, True, False, "waiting"),
        ({"status": "exited"}, False, True, "ready"),
        ({"status": "exited", "exit_code": 2}, False, True, "it ended with status 2"),
        ({}, False, True, "waiting"),
    ],
)
def test_verdicts(changes: dict[str, object], checked: bool, to_the_end: bool, said: str) -> None:
    assert said in health.verdict(container(**changes), checked=checked, to_the_end=to_the_end, now=NOW)


def test_data_services_join_the_networks_of_a_slot() -> None:
    assert networks.wanted("shop-blue", {"postgres": ("backend",), "redis": ("a", "b")}) == [
        ("postgres", "shop-blue_backend"),
        ("redis", "shop-blue_a"),
        ("redis", "shop-blue_b"),
    ]


@pytest.mark.parametrize(
    ("reference", "name"),
    [
        ("registry.test:5000/shop/api:1.0", "registry.test:5000/shop/api"),
        ("registry.test:5000/shop/api@sha256:0", "registry.test:5000/shop/api"),
        ("postgres:17", "postgres"),
        ("postgres", "postgres"),
    ],
)
def test_repositories(reference: str, name: str) -> None:
    assert images.repository(reference) == name


def test_progress_is_told_every_tenth() -> None:
    progress = images.Progress()
    layer = {"id": "a", "status": "Downloading", "progressDetail": {"total": 100}}
    told = [
        now for now in range(0, 101, 5) if progress.add({**layer, "progressDetail": {"current": now, "total": 100}})
    ]
    assert told == [10, 20, 30, 40, 50, 60, 70, 80, 90, 100]
