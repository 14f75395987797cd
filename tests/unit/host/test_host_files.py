# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Real files, real commands; only the directories are temporary."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError
from ansible_collections.slipway.vps.plugins.module_utils.host import files
from ansible_collections.slipway.vps.plugins.module_utils.host.files import DirectorySpec, FileSet, FileSpec, LiveCheck

ME = {"owner": str(os.getuid()), "group": str(os.getgid())}


def spec(path: Path, content: str, **more: object) -> FileSpec:
    return FileSpec(str(path), content, **{**ME, **more})  # type: ignore[arg-type]


def converge(wanted: FileSet, tmp_path: Path, *, check: bool = False) -> files.Report:
    return files.converge(wanted, check=check, pending_directory=str(tmp_path / "pending"))


def appending(log: Path, word: str) -> tuple[str, ...]:
    return ("sh", "-c", 'echo "$1" >> "$2"', "sh", word, str(log))


def test_the_first_run_writes_and_applies_once_and_the_second_does_nothing(tmp_path: Path) -> None:
    log = tmp_path / "log"
    wanted = FileSet(
        files=(spec(tmp_path / "etc" / "a", "one\n", mode=0o640), spec(tmp_path / "etc" / "b", "two\n")),
        directories=(DirectorySpec(str(tmp_path / "etc"), 0o750, **ME),),
        apply=(appending(log, "reload"),),
    )
    first = converge(wanted, tmp_path)
    assert first.changed_paths == [str(tmp_path / "etc"), str(tmp_path / "etc/a"), str(tmp_path / "etc/b")]
    assert stat.S_IMODE((tmp_path / "etc/a").stat().st_mode) == 0o640
    second = converge(wanted, tmp_path)
    assert not second.changed
    assert log.read_text() == "reload\n"


def test_a_dry_run_tells_and_touches_nothing(tmp_path: Path) -> None:
    wanted = FileSet(
        files=(spec(tmp_path / "missing" / "a", "new\n", owner="nobody-of-that-name"),), apply=(("false",),)
    )
    report = converge(wanted, tmp_path, check=True)
    assert report.changed
    assert report.diff[0]["after"] == "new\n"
    assert not (tmp_path / "missing").exists()
    assert not (tmp_path / "pending").exists()


def test_damage_to_a_mode_is_found_and_repaired(tmp_path: Path) -> None:
    wanted = FileSet(files=(spec(tmp_path / "a", "one\n", mode=0o600),))
    converge(wanted, tmp_path)
    (tmp_path / "a").chmod(0o666)
    report = converge(wanted, tmp_path)
    assert report.changed_paths == [str(tmp_path / "a")]
    assert "0666" in report.diff[0]["before"]
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o600


def test_a_refused_set_is_put_back_whole(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old a\n")
    (tmp_path / "gone").write_text("old gone\n")
    wanted = FileSet(
        files=(spec(tmp_path / "a", "new a\n"), spec(tmp_path / "b", "new b\n")),
        absent=(str(tmp_path / "go*"),),
        test=("sh", "-c", "echo line 3 is wrong >&2; exit 1"),
    )
    with pytest.raises(SlipwayError, match="line 3 is wrong"):
        converge(wanted, tmp_path)
    assert (tmp_path / "a").read_text() == "old a\n"
    assert (tmp_path / "gone").read_text() == "old gone\n"
    assert not (tmp_path / "b").exists()


def test_a_file_that_its_own_check_refuses_never_takes_its_place(tmp_path: Path) -> None:
    wanted = FileSet(files=(spec(tmp_path / "a", "bad\n", validate=("grep", "-q", "good", "{path}")),))
    with pytest.raises(SlipwayError, match="was refused by its own check"):
        converge(wanted, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_when_applying_fails_the_old_files_are_made_live_again(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("good\n")
    log = tmp_path / "log"
    check = ("sh", "-c", 'cat "$1" >> "$2"; grep -q good "$1"', "sh", str(tmp_path / "a"), str(log))
    with pytest.raises(SlipwayError, match="could not be made live"):
        converge(FileSet(files=(spec(tmp_path / "a", "bad\n"),), apply=(check,)), tmp_path)
    assert (tmp_path / "a").read_text() == "good\n"
    assert log.read_text() == "bad\ngood\n"


def test_a_run_that_was_killed_before_applying_is_made_up_for(tmp_path: Path) -> None:
    log = tmp_path / "log"
    wanted = FileSet(files=(spec(tmp_path / "a", "one\n"),), apply=(appending(log, "reload"),))
    converge(FileSet(files=wanted.files), tmp_path)
    marker = files._pending(wanted, str(tmp_path / "pending"))
    marker.parent.mkdir()
    marker.touch()
    assert converge(wanted, tmp_path, check=True).changed
    assert converge(wanted, tmp_path).applied
    assert not converge(wanted, tmp_path).changed
    assert log.read_text() == "reload\n"


def test_what_is_not_live_is_applied_although_no_file_differs(tmp_path: Path) -> None:
    state = tmp_path / "state"
    wanted = FileSet(
        files=(spec(tmp_path / "a", "on\n"),),
        apply=(("cp", str(tmp_path / "a"), str(state)),),
        live=(LiveCheck(("cat", str(state)), r"\Aon\Z|\Aon$"),),
    )
    converge(wanted, tmp_path)
    assert not converge(wanted, tmp_path).changed
    state.write_text("off\n")
    report = converge(wanted, tmp_path)
    assert report.changed_paths == []
    assert report.not_live == [f"cat {state}"]
    assert state.read_text() == "on\n"


def test_secrets_are_not_in_the_diff(tmp_path: Path) -> None:
    report = converge(FileSet(files=(spec(tmp_path / "a", "hunter2\n", secret=True),)), tmp_path)
    assert "hunter2" not in str(report.diff)


def test_a_directory_is_never_mistaken_for_a_file(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    assert files.expand([str(tmp_path / "*")]) == []
    (tmp_path / "f").touch()
    with pytest.raises(SlipwayError, match="must be a directory"):
        converge(FileSet(directories=(DirectorySpec(str(tmp_path / "f"), **ME),)), tmp_path)


def test_an_owner_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(SlipwayError, match="no such user or group"):
        converge(FileSet(files=(spec(tmp_path / "a", "x\n", owner="nobody-of-that-name"),)), tmp_path)


def test_a_directory_of_a_user_is_no_link_to_somewhere_else(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / ".ssh").symlink_to(tmp_path / "elsewhere")
    wanted = FileSet(
        files=(spec(tmp_path / ".ssh" / "authorized_keys", "key\n"),),
        directories=(DirectorySpec(str(tmp_path / ".ssh"), 0o700, owner="nobody", group="0"),),
    )
    with pytest.raises(SlipwayError, match="is a symbolic link to"):
        converge(wanted, tmp_path)
    assert list((tmp_path / "elsewhere").iterdir()) == []
