# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Real files and the real script; systemd is tried on a real host (scenario access), here its command only notes."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError
from ansible_collections.slipway.vps.plugins.module_utils.host import files
from ansible_collections.slipway.vps.plugins.module_utils.host.files import FileSet, FileSpec
from ansible_collections.slipway.vps.plugins.module_utils.host.revert import Revert, WayBack

ME = {"owner": str(os.getuid()), "group": str(os.getgid())}


@pytest.fixture
def systemctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What was asked of systemd, a line each. No unit is ever active."""
    said = tmp_path / "systemctl.log"
    program = tmp_path / "bin" / "systemctl"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$*" >> {said}\n[ "$1" != is-active ]\n', encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return said


@pytest.fixture
def way_back(tmp_path: Path, systemctl: Path) -> WayBack:
    (tmp_path / "units").mkdir()
    return WayBack("access", store=str(tmp_path / "store"), units=str(tmp_path / "units"))


def change(
    tmp_path: Path, way_back: WayBack, texts: dict[str, str], apply: tuple[tuple[str, ...], ...] = ()
) -> files.Report:
    wanted = FileSet(
        files=tuple(FileSpec(str(tmp_path / name), text, **ME) for name, text in texts.items()),  # type: ignore[arg-type]
        apply=apply,
        revert=Revert(
            "access", 30, first=(("touch", str(tmp_path / "first")),), last=(("touch", str(tmp_path / "last")),)
        ),
    )
    return files.converge(
        wanted,
        pending_directory=str(tmp_path / "pending"),
        originals_directory=str(tmp_path / "originals"),
        way_back=way_back,
    )


def restore(tmp_path: Path) -> None:
    subprocess.run(["/bin/sh", tmp_path / "store/access/restore"], check=True)


def test_what_nobody_proves_is_put_back_with_its_mode_and_what_was_not_there_goes(
    tmp_path: Path, way_back: WayBack, systemctl: Path
) -> None:
    old = tmp_path / "a b"
    old.write_text("old\n")
    old.chmod(0o640)
    live = tmp_path / "live"
    report = change(tmp_path, way_back, {"a b": "new\n", "new": "new\n"}, apply=(("cp", str(old), str(live)),))
    assert report.unproved
    assert live.read_text() == "new\n"
    assert "OnActiveSec=30" in (tmp_path / "units/slipway-revert-access.timer").read_text()
    assert "enable --quiet --now slipway-revert-access.timer" in systemctl.read_text()
    restore(tmp_path)
    assert (old.read_text(), old.stat().st_mode & 0o777) == ("old\n", 0o640)
    assert not (tmp_path / "new").exists()
    assert live.read_text() == "old\n"
    assert (tmp_path / "first").exists() and (tmp_path / "last").exists()
    # Nothing is left of it.
    assert not way_back.armed()
    assert list((tmp_path / "units").iterdir()) == []
    assert not (tmp_path / "store/access").exists()


def test_what_is_kept_stays_and_nothing_is_left_to_put_back(tmp_path: Path, way_back: WayBack, systemctl: Path) -> None:
    (tmp_path / "a").write_text("old\n")
    change(tmp_path, way_back, {"a": "new\n"})
    way_back.keep()
    assert not way_back.armed()
    assert (tmp_path / "a").read_text() == "new\n"
    assert list((tmp_path / "units").iterdir()) == []
    assert "disable --quiet slipway-revert-access.timer" in systemctl.read_text()
    with pytest.raises(SlipwayError, match="no unproved change of access"):
        way_back.keep()


def test_a_change_that_was_put_back_cannot_be_kept_any_more(tmp_path: Path, way_back: WayBack) -> None:
    change(tmp_path, way_back, {"a": "new\n"})
    restore(tmp_path)
    with pytest.raises(SlipwayError, match="taken back before it was proved"):
        way_back.keep()


def test_a_second_unproved_change_goes_back_to_what_was_before_the_first(tmp_path: Path, way_back: WayBack) -> None:
    (tmp_path / "a").write_text("oldest\n")
    (tmp_path / "b").write_text("oldest\n")
    change(tmp_path, way_back, {"a": "first\n"})
    assert change(tmp_path, way_back, {"a": "second\n", "b": "second\n"}).unproved
    restore(tmp_path)
    assert (tmp_path / "a").read_text() == "oldest\n"
    assert (tmp_path / "b").read_text() == "oldest\n"


def test_a_run_that_finds_an_unproved_change_has_to_prove_it_although_nothing_differs(
    tmp_path: Path, way_back: WayBack
) -> None:
    change(tmp_path, way_back, {"a": "new\n"})
    again = change(tmp_path, way_back, {"a": "new\n"})
    assert (again.changed, again.unproved) == (False, True)
    way_back.keep()
    assert not change(tmp_path, way_back, {"a": "new\n"}).unproved


def test_without_a_change_nothing_is_armed(tmp_path: Path, way_back: WayBack, systemctl: Path) -> None:
    (tmp_path / "a").write_text("same\n")
    report = change(tmp_path, way_back, {"a": "same\n"})
    assert not report.unproved
    assert not way_back.armed()
    assert not systemctl.exists()


def test_a_change_that_cannot_be_made_live_is_back_at_once_and_not_armed(tmp_path: Path, way_back: WayBack) -> None:
    (tmp_path / "a").write_text("good\n")
    with pytest.raises(SlipwayError, match="the old configuration serves again"):
        change(tmp_path, way_back, {"a": "bad\n"}, apply=(("grep", "-q", "good", str(tmp_path / "a")),))
    assert (tmp_path / "a").read_text() == "good\n"
    assert not way_back.armed()
    assert (tmp_path / "first").exists()


def test_when_the_old_files_are_not_live_either_the_timer_will_try_again(tmp_path: Path, way_back: WayBack) -> None:
    (tmp_path / "a").write_text("old\n")
    with pytest.raises(SlipwayError, match="could not be made live either"):
        change(tmp_path, way_back, {"a": "new\n"}, apply=(("false",),))
    assert (tmp_path / "a").read_text() == "old\n"
    assert way_back.armed()
