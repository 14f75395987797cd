# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""When the Engine restarts, and what it waits for; molecule/host_bookworm asks a real one."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError
from ansible_collections.slipway.vps.plugins.module_utils.common.lock import FileLock
from ansible_collections.slipway.vps.plugins.module_utils.host import docker_engine
from ansible_collections.slipway.vps.plugins.module_utils.host.docker_engine import Unit, Wanted
from ansible_collections.slipway.vps.plugins.module_utils.host.files import FileSpec

DROP_IN = FileSpec("/etc/systemd/system/docker.service.d/slipway.conf", "")


def units(monkeypatch: pytest.MonkeyPatch, *, active: bool = True, enabled: bool = True, started: float = 0) -> None:
    def look(name: str) -> Unit:
        return Unit(name, active, enabled, os.getpid(), started or time.time())

    monkeypatch.setattr(Unit, "look", look)


def decide(tmp_path: Path, *names: str, paths: tuple[str, ...] = (), loaded: bool = True) -> tuple[str, str]:
    daemon = tmp_path / "daemon.json"
    daemon.write_text("{}")
    wanted = Wanted({}, drop_ins=(DROP_IN,), path=str(daemon))
    return docker_engine._decide(wanted, paths, names, loaded=loaded)


def test_nothing_changed_is_nothing_done(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    units(monkeypatch, started=time.time() + 5)
    assert decide(tmp_path) == ("none", "")
    assert decide(tmp_path, loaded=False) == ("none", "")


def test_it_is_told_what_it_can_take_over_and_restarts_for_the_rest(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    units(monkeypatch)
    assert decide(tmp_path, "debug")[0] == "reload"
    how, why = decide(tmp_path, "debug", "icc")
    assert how == "restart"
    assert why.startswith("debug, icc in ")
    assert decide(tmp_path, paths=(DROP_IN.path,)) == ("restart", f"{DROP_IN.path} changed")


def test_one_that_does_not_run_is_started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    units(monkeypatch, active=False)
    assert decide(tmp_path) == ("restart", "it does not run")


def test_one_that_would_not_start_at_boot_is_enabled_without_a_restart(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    units(monkeypatch, enabled=False, started=time.time() + 5)
    assert decide(tmp_path)[0] == "enable"


def test_a_file_that_it_has_not_read_yet_makes_it_restart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    units(monkeypatch, started=time.time() - 60)
    assert decide(tmp_path, loaded=True)[0] == "none"
    how, why = decide(tmp_path, loaded=False)
    assert how == "restart"
    assert why.endswith("is newer than its start")


def test_a_restart_waits_for_a_release_and_keeps_others_out(tmp_path: Path) -> None:
    for stack in ("blog", "shop"):
        (tmp_path / stack).mkdir()
        (tmp_path / stack / "release.lock").touch()
    release = FileLock(tmp_path / "shop" / "release.lock", what="release of shop")
    release.acquire()
    threading.Timer(0.5, release.release).start()
    with docker_engine.undisturbed([str(tmp_path / "*" / "release.lock")], 10, "icc changed"):
        for stack in ("blog", "shop"):
            with pytest.raises(SlipwayError, match="restart of the Docker Engine"):
                FileLock(tmp_path / stack / "release.lock").acquire()
    with FileLock(tmp_path / "shop" / "release.lock"):
        pass


def test_a_release_that_takes_too_long_is_named_and_nothing_stays_locked(tmp_path: Path) -> None:
    locks = [tmp_path / name for name in ("a.lock", "b.lock")]
    for path in locks:
        path.touch()
    with FileLock(locks[1], what="release of shop"):
        with (
            pytest.raises(SlipwayError, match=r"\(icc changed\).* held by release of shop .*docker_restart_wait"),
            docker_engine.undisturbed([str(tmp_path / "*.lock")], 0, "icc changed"),
        ):
            raise AssertionError
        with FileLock(locks[0]):
            pass


def test_no_lock_is_made_where_there_is_no_stack(tmp_path: Path) -> None:
    with docker_engine.undisturbed([str(tmp_path / "*" / "release.lock")], 0, "icc changed"):
        assert list(tmp_path.iterdir()) == []


def test_the_range_of_ids_is_added_once_and_never_moved() -> None:
    table = docker_engine.with_range("ops:100000:65536\n", 1000000, "/etc/subuid")
    assert table == "ops:100000:65536\ndockremap:1000000:65536\n"
    assert docker_engine.with_range(table, 2000000, "/etc/subuid") == table


@pytest.mark.parametrize("theirs", ["alex:934465:65536", "alex:1065535:1", "alex:900000:500000"])
def test_ids_of_somebody_else_are_refused(theirs: str) -> None:
    with pytest.raises(SlipwayError, match="belong to alex"):
        docker_engine.with_range(f"{theirs}\n", 1000000, "/etc/subuid")


def test_neighbouring_ids_are_free() -> None:
    assert "dockremap" in docker_engine.with_range("a:934464:65536\nb:1065536:9\n", 1000000, "/etc/subuid")
