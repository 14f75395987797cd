# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The mirror comes from whatever the machine is configured for, in both of apt's styles."""

from __future__ import annotations

from pathlib import Path

import mirrors
import pytest
from shell import LabError

DEB822 = """Types: deb
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main

Types: deb
URIs: http://mirror.example/debian-security/
Suites: bookworm-security
Components: main

Types: deb-src
URIs: http://sources.example/debian
Suites: bookworm
"""
ONE_LINE = """# comment
deb [arch=amd64 signed-by=/x.gpg] http://other.example/debian trixie main
deb http://other.example/debian-security trixie-security main
"""


def test_both_styles(tmp_path: Path) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list").write_text(ONE_LINE)
    (tmp_path / "sources.list.d" / "debian.sources").write_text(DEB822)
    found = {(source.uri, source.suite) for source in mirrors.sources(tmp_path)}
    assert ("http://mirror.example/debian", "bookworm-updates") in found
    assert ("http://mirror.example/debian-security", "bookworm-security") in found
    assert ("http://other.example/debian", "trixie") in found
    assert not [uri for uri, _suite in found if "sources.example" in uri]


def test_lines_of_another_suite() -> None:
    lines = mirrors.Mirrors("http://m.example/debian", "http://m.example/debian-security").lines("trixie").splitlines()
    assert lines == [
        "deb http://m.example/debian trixie main",
        "deb http://m.example/debian trixie-updates main",
        "deb http://m.example/debian-security trixie-security main",
    ]


def test_no_mirror_is_said_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirrors, "sources", list)
    monkeypatch.delenv("LAB_DEBIAN_MIRROR", raising=False)
    monkeypatch.delenv("LAB_DEBIAN_SECURITY_MIRROR", raising=False)
    with pytest.raises(LabError, match="LAB_DEBIAN_MIRROR"):
        mirrors.configured()
