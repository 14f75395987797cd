# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Killed anywhere, also while it recovers, the host ends with one consistent release, and the next deploy works."""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError
from ansible_collections.slipway.vps.plugins.module_utils.common.events import Emitter
from ansible_collections.slipway.vps.plugins.module_utils.release import audit, commands, drift, engine, state
from ansible_collections.slipway.vps.plugins.module_utils.release.host import Host
from ansible_collections.slipway.vps.tests.unit.release.world import STACK, World, make, request

# A first release takes fewer acts than this, a release after it too.
ACTS = 110
# The long form leaves none of them out.
LONG = bool(os.environ.get("SLIPWAY_LONG"))
STRIDE = 1 if LONG else 4


@contextmanager
def a_host() -> Iterator[World]:
    with tempfile.TemporaryDirectory() as root, pytest.MonkeyPatch.context() as patch:
        (Path(root) / "srv").mkdir()
        yield make(Path(root), patch)


def deploy(release: str, **more: Any) -> Any:
    return engine.release(request(release, **more), Emitter.null())


def roll_back() -> Any:
    wish = {"stack": STACK, "action": "rollback", "observe": 0, "drain_http": 0, "drain_websocket": 0}
    return engine.release({**wish, "min_free_memory_mb": 0, "min_free_disk_mb": 0, "retain": 2}, Emitter.null())


def boot() -> Any:
    return commands._boot(argparse.Namespace(stack=STACK))


@dataclass(frozen=True)
class Step:
    """What is asked for, where it is cut off, and how often its recovery is."""

    work: str  # deploy | rollback
    kill_at: int | None
    fail_at: int | None
    reboot: bool
    recoveries: tuple[int, ...]


steps = st.lists(
    st.builds(
        Step,
        work=st.sampled_from(["deploy", "deploy", "rollback"]),
        kill_at=st.none() | st.integers(1, ACTS),
        fail_at=st.none() | st.integers(1, ACTS),
        reboot=st.booleans(),
        recoveries=st.lists(st.integers(1, 40), max_size=3).map(tuple),
    ),
    min_size=1,
    max_size=4,
)


def consistent(world: World) -> None:
    """Exactly one release serves, or none before the first, and everything about it is as it should be."""
    host = Host(world.paths, Emitter.null())
    current = host.store.state()
    assert current.transition is None
    world.look("the end")
    serving = host.serving(current)
    if serving is None:
        assert not [entry for entry in world.containers.values() if entry.project != f"{STACK}-data"]
        return
    assert world.answer() == serving.record.images["web"]
    assert world.loaded == world.on_disk()
    assert drift.findings(host, current, serving) == []
    assert set(current.data_images) == {"postgres"}
    entries = audit.read(world.paths.audit)
    assert len({(entry["id"], entry["result"]) for entry in entries}) == len(entries)
    served = {entry["release"] for entry in entries if entry["result"] != "failed"}
    assert serving.record.number in served
    for number in host.store.numbers():
        host.store.read(number)


def tidy(world: World) -> None:
    """Nothing is left of releases that never served."""
    kept = {int(entry.name) for entry in world.paths.releases.iterdir() if entry.name.isdigit()}
    assert kept == {record.number for record in Host(world.paths, Emitter.null()).store.all() if record.served}


@pytest.mark.slow
@settings(max_examples=40 if LONG else 15, deadline=None)
@given(steps)
def test_killed_anywhere_the_host_recovers_by_itself(history: list[Step]) -> None:
    with a_host() as world:
        for number, step in enumerate(history, 1):
            serving = Host(world.paths, Emitter.null()).store.state().active
            world.must_answer = serving is not None
            rolls_back = step.work == "rollback" and serving is not None
            work = roll_back if rolls_back else lambda name=f"1.{number}": deploy(name)
            world.process(work, kill_at=step.kill_at, fail_at=step.fail_at)
            for kill_at in step.recoveries:
                if step.reboot:
                    world.reboot()
                world.process(boot, kill_at=kill_at)
            if world.paths.root.is_dir():
                assert world.process(boot) == 0
                consistent(world)
        last = world.process(lambda: deploy("2.0"))
        assert not isinstance(last, SlipwayError), last
        assert (last["release_name"], last["changed"]) == ("2.0", True)
        consistent(world)
        tidy(world)
        assert world.process(lambda: deploy("2.0"))["changed"] is False


@pytest.mark.slow
def test_any_single_act_of_a_release_may_be_the_last() -> None:
    """Not left to chance: acts of the first release, of the next one and of a rollback, killed once."""
    for before in (0, 1, 2):
        kill_at = before - STRIDE + 1
        ended = None
        while not isinstance(ended, dict):
            kill_at += STRIDE
            assert kill_at < ACTS + STRIDE
            with a_host() as world:
                for number in range(before):
                    deploy(f"0.{number}")
                world.must_answer = before > 0
                ended = world.process(roll_back if before == 2 else lambda: deploy("1.0"), kill_at=kill_at)
                if not isinstance(ended, dict):
                    done = world.process(lambda: deploy("2.0"))
                    assert isinstance(done, dict), (before, kill_at, done)
                    assert done["release_name"] == "2.0", (before, kill_at)
                    consistent(world)
                    tidy(world)


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["reload", "touch slot.green", "stop shop-blue-worker-1", "stop shop-blue-web-1"])
def test_any_single_act_of_a_recovery_may_be_the_last(moment: str) -> None:
    """The next release is killed right after this act, and its recovery once at each of its own."""
    again = 1 - STRIDE
    recovered = None
    while recovered != 0:
        again += STRIDE
        assert again < ACTS + STRIDE
        with a_host() as world:
            deploy("1.0")
            world.must_answer = True
            world.kill_after = moment
            assert world.process(lambda: deploy("1.1")) is None
            recovered = world.process(boot, kill_at=again)
            if recovered != 0:
                assert world.process(boot) == 0
            consistent(world)


def test_every_phase_is_on_record_before_it_acts() -> None:
    with a_host() as world:
        seen: list[tuple[str, str]] = []
        watch = world.act

        def act(what: str) -> None:
            seen.append((what, Host(world.paths, Emitter.null()).store.state().phase))
            watch(what)

        world.act = act  # type: ignore[method-assign]
        deploy("1.0")
        deploy("1.1")
    phases = {phase for what, phase in seen if not what.startswith(("write_json state", "append_line"))}
    assert {"write", "data", "prepare", "migrate", "start", "edge", "switch", "exclusive", "stop"} <= phases
    for what, phase in seen:
        if what.startswith("stop shop-") and "worker" not in what:
            assert phase == "stop", (what, phase)
        if what.startswith("start shop-") and "worker" in what:
            assert phase == "exclusive", (what, phase)
        if what in ("touch slot.green", "remove slot.green"):
            assert phase in ("switch", "edge"), (what, phase)
        if what.startswith("create shop-") and "-data-" not in what:
            assert phase in ("prepare",), (what, phase)
    assert state.PHASES[0] == "preflight"
