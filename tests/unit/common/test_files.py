# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import stat
from pathlib import Path

from ansible_collections.slipway.vps.plugins.module_utils.common import files


def test_write_atomic_reports_new_same_and_changed_content(tmp_path):
    target = tmp_path / "config"
    assert files.write_atomic(target, "one\n", 0o600) is True
    assert files.write_atomic(target, "one\n", 0o600) is False
    assert files.write_atomic(target, "two\n", 0o600) is True
    assert target.read_text() == "two\n"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


def test_write_atomic_repairs_the_mode(tmp_path):
    target = tmp_path / "config"
    files.write_atomic(target, "one\n", 0o600)
    target.chmod(0o644)
    assert files.write_atomic(target, "one\n", 0o600) is True
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


def test_write_atomic_leaves_the_old_file_and_no_rubbish_when_it_cannot_write(tmp_path, monkeypatch):
    target = tmp_path / "config"
    files.write_atomic(target, "one\n")

    def full(_source, _target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    try:
        files.write_atomic(target, "two\n")
    except OSError as error:
        assert error.errno == 28
    else:
        raise AssertionError("the failure was swallowed")
    assert target.read_text() == "one\n"
    assert [entry.name for entry in tmp_path.iterdir()] == ["config"]


def test_json_round_trip_and_default(tmp_path):
    assert files.read_json(tmp_path / "none", {"a": 1}) == {"a": 1}
    files.write_json(tmp_path / "some", {"b": [1, 2]})
    assert files.read_json(tmp_path / "some") == {"b": [1, 2]}


def test_touch_and_remove_say_whether_they_did_something(tmp_path):
    flag = tmp_path / "flag"
    assert [files.touch(flag), files.touch(flag), files.remove(flag), files.remove(flag)] == [True, False, True, False]


def test_append_line_keeps_one_line_a_call(tmp_path):
    log = tmp_path / "log"
    files.append_line(log, "one\n")
    files.append_line(log, "two")
    assert log.read_text() == "one\ntwo\n"


def test_room_is_kept_for_real_and_once(tmp_path: Path) -> None:
    place = tmp_path / "reserve"
    with place.open("wb") as handle:
        handle.truncate(65536)
    assert place.stat().st_blocks == 0
    for _time in range(2):
        files.reserve(place, 65536)
        assert (place.stat().st_size, place.stat().st_blocks * 512) == (65536, 65536)
