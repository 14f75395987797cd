# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The audit log: only ever appended to, and whatever else is done to it shows."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.slipway.vps.plugins.module_utils.release import audit, history
from ansible_collections.slipway.vps.plugins.module_utils.release.paths import StackPaths


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "releases.jsonl"
    for number in (1, 2, 3):
        audit.append(path, {"release": number})
    return path


def numbers(path: Path) -> list[Any]:
    return [entry.get("release") for entry in audit.read(path)]


def test_entries_are_added_at_the_end_and_nothing_else_is_written(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = log.read_bytes()
    flags: list[int] = []
    real = os.open

    def watched(path: Any, how: int, *more: Any, **named: Any) -> int:
        if Path(path) == log:
            flags.append(how)
        return real(path, how, *more, **named)

    monkeypatch.setattr(os, "open", watched)
    audit.append(log, {"release": 4})
    assert log.read_bytes().startswith(before)
    assert numbers(log) == [1, 2, 3, 4]
    assert flags and all(how & os.O_APPEND and not how & os.O_TRUNC for how in flags)
    assert audit.altered(log) == ""


def test_a_log_that_was_shortened_is_noticed_and_the_next_entry_says_so_for_good(log: Path) -> None:
    lines = log.read_text().splitlines(keepends=True)
    log.write_text("".join(lines[:2]))
    assert "shorter than it was" in audit.altered(log)
    audit.append(log, {"release": 4})
    assert numbers(log) == [1, 2, None, 4]
    noted = audit.read(log)[2]
    assert noted["result"] == audit.ALTERED and "shorter" in noted["reason"]
    assert audit.altered(log) == ""


def test_a_line_that_was_changed_or_a_log_that_is_gone_is_noticed(log: Path) -> None:
    log.write_text(log.read_text().replace('"release": 2', '"release": 7'))
    assert "lines were changed" in audit.altered(log)
    log.unlink()
    assert "shorter" in audit.altered(log)


def test_a_power_loss_between_log_and_seal_is_no_alteration(log: Path) -> None:
    with log.open("a", encoding="utf-8") as handle:
        handle.write('{"release": 4, "na')
    assert audit.altered(log) == ""
    audit.append(log, {"release": 5})
    assert numbers(log) == [1, 2, 3, 5]


def test_the_history_tells_who_when_what_and_why(tmp_path: Path) -> None:
    paths = StackPaths("shop", stacks=tmp_path, nginx_stacks=tmp_path / "nginx")
    paths.root.mkdir()
    phases = [{"name": "pull", "seconds": 1.5, "result": "done"}, {"name": "migrate", "seconds": 2, "result": "failed"}]
    audit.append(
        paths.audit,
        {
            "release": 7,
            "name": "1.4.2",
            "kind": "deploy",
            "result": "failed",
            "phase": "migrate",
            "reason": "The command migrate failed.",
            "by": "mia",
            "slot": "green",
            "images": {"api": "shop/api@sha256:0"},
            "dump": "20261121T120000Z-abcdef",
            "phases": phases,
        },
    )
    found = history.overview("shop", paths)
    entry = found["releases"][0]
    assert (entry["by"], entry["result"], entry["seconds"], entry["dump"]) == ("mia", "failed", 3.5, entry["dump"])
    assert found["audit"] == ""
    short, long = history.table(found["releases"]), history.table(found["releases"], long=True)
    for text in ("1.4.2", "mia", "failed", "migrate: The command migrate failed."):
        assert text in short
    for text in ("pull 1.5 s, migrate 2 s", "image api: shop/api@sha256:0", "backup 20261121T120000Z-abcdef"):
        assert text in long and text not in short
