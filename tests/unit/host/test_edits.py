# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Single lines of files that belong to the distribution, and how they are taken back."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError
from ansible_collections.slipway.vps.plugins.module_utils.host import files
from ansible_collections.slipway.vps.plugins.module_utils.host.edits import EditSpec, LineEdit, edited
from ansible_collections.slipway.vps.plugins.module_utils.host.files import FileSet, FileSpec

UMASK = LineEdit(r"^\s*#?\s*UMASK\s", "UMASK 027")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("A\nUMASK 022\nB\n", "A\nUMASK 027\nB\n"),
        ("A\n#UMASK\t022\nUMASK 077\nB", "A\nUMASK 027\nB\n"),
        ("A\nB\n", "A\nB\nUMASK 027\n"),
        ("", "UMASK 027\n"),
        ("UMASK 027\n", "UMASK 027\n"),
    ],
)
def test_a_line_takes_the_place_of_those_that_match(before: str, after: str) -> None:
    assert edited(before, [UMASK]) == after
    assert edited(after, [UMASK]) == after


def test_a_line_that_does_not_match_itself_is_not_added_twice() -> None:
    edit = LineEdit("^nothing like it$", "x")
    assert edited(edited("a\n", [edit]), [edit]) == "a\nx\n"


def test_without_a_line_those_that_match_go() -> None:
    assert edited("a 1\nb\na 2\n", [LineEdit("^a ")]) == "b\n"


class Host:
    """A file of the distribution, a file of ours, and the control that writes both."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.theirs, self.ours = folder / "login.defs", folder / "conf.d" / "ours"
        self.theirs.write_text("UMASK 022\n")
        self.theirs.chmod(0o640)
        me = {"owner": str(os.getuid()), "group": str(os.getgid())}
        self.on = FileSet(
            files=(FileSpec(str(self.ours), "ours\n", **me),),
            edits=(EditSpec(str(self.theirs), (UMASK,)),),
            keep_originals=True,
        )
        self.off = FileSet(take_back=(str(self.theirs), str(self.ours)))

    def converge(self, wanted: FileSet, *, check: bool = False) -> files.Report:
        return files.converge(
            wanted,
            check=check,
            pending_directory=str(self.folder / "pending"),
            originals_directory=str(self.folder / "originals"),
        )


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_an_edit_keeps_the_mode_and_happens_once(host: Host) -> None:
    report = host.converge(host.on)
    assert sorted(report.changed_paths) == sorted([str(host.theirs), str(host.ours)])
    assert host.theirs.read_text() == "UMASK 027\n"
    assert host.theirs.stat().st_mode & 0o777 == 0o640
    assert not host.converge(host.on).changed


def test_a_dry_run_notes_nothing(host: Host) -> None:
    assert host.converge(host.on, check=True).changed
    assert host.theirs.read_text() == "UMASK 022\n"
    assert not (host.folder / "originals").exists()


def test_what_is_switched_off_is_as_it_was(host: Host) -> None:
    host.converge(host.on)
    assert host.converge(host.off, check=True).changed
    assert host.converge(host.off).changed
    assert host.theirs.read_text() == "UMASK 022\n"
    assert host.theirs.stat().st_mode & 0o777 == 0o640
    assert not host.ours.exists()
    assert not host.converge(host.off).changed


def test_what_was_never_written_here_is_not_taken_back(host: Host) -> None:
    assert not host.converge(host.off).changed
    assert host.theirs.read_text() == "UMASK 022\n"


def test_what_somebody_else_changed_since_is_left_alone(host: Host) -> None:
    host.converge(host.on)
    host.theirs.write_text("UMASK 077\n")
    report = host.converge(host.off)
    assert report.left_alone == [str(host.theirs)]
    assert host.theirs.read_text() == "UMASK 077\n"
    assert not host.ours.exists()


def test_a_change_upon_a_foreign_one_is_not_only_ours(host: Host) -> None:
    host.converge(host.on)
    host.theirs.write_text("# mine\nUMASK 077\n")
    host.converge(host.on)
    assert host.theirs.read_text() == "# mine\nUMASK 027\n"
    assert host.converge(host.off).left_alone == [str(host.theirs)]
    assert host.theirs.read_text() == "# mine\nUMASK 027\n"


def test_a_change_of_our_own_keeps_the_first_original(host: Host) -> None:
    host.converge(host.on)
    stricter = LineEdit(UMASK.match, "UMASK 077")
    host.converge(FileSet(edits=(EditSpec(str(host.theirs), (stricter,)),), keep_originals=True))
    host.converge(host.off)
    assert host.theirs.read_text() == "UMASK 022\n"


def test_a_file_that_failed_to_apply_is_not_noted(host: Host) -> None:
    failing = FileSet(edits=host.on.edits, keep_originals=True, test=("false",))
    with pytest.raises(SlipwayError):
        host.converge(failing)
    assert host.theirs.read_text() == "UMASK 022\n"
    assert not host.converge(host.off).changed


def test_a_file_that_is_no_text_is_refused(host: Host) -> None:
    host.theirs.write_bytes(b"\xff\xfe")
    with pytest.raises(SlipwayError, match="not a text"):
        host.converge(host.on)
