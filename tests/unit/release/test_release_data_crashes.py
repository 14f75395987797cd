# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A change of a data service that is killed or fails anywhere is put back or finished, and the next run applies it."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.slipway.vps.plugins.module_utils.backup import spec as backup_spec
from ansible_collections.slipway.vps.plugins.module_utils.common import files
from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError
from ansible_collections.slipway.vps.plugins.module_utils.common.events import Emitter
from ansible_collections.slipway.vps.plugins.module_utils.release import (
    archive,
    commands,
    compose,
    data_services,
    definitions,
    drift,
    engine,
    paths,
    upgrade,
)
from ansible_collections.slipway.vps.plugins.module_utils.release.host import Host
from ansible_collections.slipway.vps.plugins.module_utils.release.model import Model
from ansible_collections.slipway.vps.tests.unit.release.world import STACK, World, acting, make, model, request

OLD, NEW = "postgres:17", "postgres:17.1"
CONTAINER = f"{STACK}-data-postgres-1"
ACTS = 60


def with_image(found: Model, image: str) -> Model:
    services = {**found.services, "postgres": {**found.services["postgres"], "image": image}}
    return Model({**found.data, "services": services})


def read_model(_stack: str, _place: object, text: str, values: Any) -> Model:
    return with_image(model(text, values), values.get("IMAGE", OLD))


@contextmanager
def a_host() -> Iterator[World]:
    with tempfile.TemporaryDirectory() as root, pytest.MonkeyPatch.context() as patch:
        (Path(root) / "srv").mkdir()
        world = make(Path(root), patch)
        patch.setattr(data_services, "StackPaths", lambda stack: paths.StackPaths(stack, world.paths.stacks))
        patch.setattr(compose, "read_model", read_model)
        patch.setattr(upgrade, "jump", lambda *_arguments: None)
        patch.setattr(upgrade, "clean_up", lambda _host: None)
        patch.setattr(archive, "make", lambda _host, _volumes: world.act("archive") or {})
        patch.setattr(backup_spec, "configured", list)
        for name in ("write_json", "touch", "remove"):
            patch.setattr(data_services, name, acting(world, getattr(files, name)))
        patch.setattr(definitions, "write_json", acting(world, files.write_json))
        engine.release(request("1.0"), Emitter.null())
        world.must_answer = True
        yield world


def change() -> Any:
    return data_services.run({**request("1.0"), "env": {"IMAGE": NEW}, "action": "data_services"}, Emitter.null())


def boot() -> Any:
    return commands._boot(argparse.Namespace(stack=STACK))


def consistent(world: World) -> str:
    """What runs, what is written down and what the state says are the same; returns the image."""
    host = Host(world.paths, Emitter.null())
    current = host.store.state()
    serving = host.serving(current)
    assert serving is not None and drift.findings(host, current, serving) == []
    known = definitions.read(world.paths, "postgres")
    assert known is not None and known.image == current.data_images["postgres"]
    assert world.containers[CONTAINER].seen.image == known.image
    assert not world.paths.maintenance.exists()
    assert not (world.paths.data / "change.json").exists()
    return known.image


def test_a_change_replaces_the_container_and_a_second_run_finds_nothing() -> None:
    with a_host() as world:
        done = change()
        assert [(one["service"], one["image"]) for one in done["services"]] == [("postgres", f"{NEW}@digest")]
        assert consistent(world) == f"{NEW}@digest"
        assert change()["changed"] is False


@pytest.mark.slow
@pytest.mark.parametrize("how", ["kill_at", "fail_at"])
def test_every_single_act_may_be_the_last(how: str) -> None:
    at = 0
    ended: Any = None
    while not isinstance(ended, dict):
        at += 1
        assert at < ACTS
        with a_host() as world:
            ended = world.process(change, **{how: at})
            if isinstance(ended, SlipwayError) and how == "fail_at" and (world.paths.data / "change.json").exists():
                assert "could not be put back" in ended.message or "It went wrong" in ended.message
            assert world.process(boot) == 0
            assert consistent(world) in (f"{OLD}@digest", f"{NEW}@digest")
            assert isinstance(world.process(change), dict)
            assert consistent(world) == f"{NEW}@digest"
    assert at > 10


@pytest.mark.slow
def test_every_single_act_of_putting_back_may_be_the_last() -> None:
    again = 0
    recovered: Any = None
    while recovered != 0:
        again += 1
        assert again < ACTS
        with a_host() as world:
            world.kill_after = f"stop {CONTAINER}"
            assert world.process(change) is None
            world.reboot()
            recovered = world.process(boot, kill_at=again)
            if recovered != 0:
                assert world.process(boot) == 0
            assert consistent(world) == f"{OLD}@digest"
