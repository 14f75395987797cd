# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The page of the scores, and which peers are measured."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

import pytest
from slipway_bench import hosts
from slipway_bench.result import ROOT


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("bench_of_security", ROOT / "tests/bench/security/bench.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


def test_the_table_has_a_column_for_each_and_a_hole_where_nothing_was_measured(bench: ModuleType) -> None:
    tls = bench.TestSsl("A+", {"DNS_CAArecord": ("LOW", "--"), "engine_problem": ("WARN", "No engine")})
    page = bench.table(
        {"bare": {"lynis": 60}, "strict": {"lynis": 86, "cis_level1_percent": 94.5}}, tls, "Scanners: x."
    )
    assert "| | bare | strict |" in page
    assert "| lynis | 60 | 86 |" in page
    assert "| cis level1 percent |  | 94.5 |" in page
    assert "**A+**, findings of severity LOW: DNS_CAArecord." in page


def test_peers_are_those_whose_checkouts_are_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANSIBLE_COLLECTIONS_PATH", "/ours")
    monkeypatch.delenv("PEERS_DIR", raising=False)
    assert hosts.peers() == []
    (tmp_path / "checkouts" / "dev-sec").mkdir(parents=True)
    monkeypatch.setenv("PEERS_DIR", str(tmp_path / "checkouts"))
    monkeypatch.setenv("ANSIBLE_ROLES_PATH", "/ours")
    hosts.link(tmp_path / "links")
    assert hosts.peers() == ["dev-sec"]
    assert os.environ["ANSIBLE_COLLECTIONS_PATH"] == f"{tmp_path / 'links'}:/ours"
    assert os.environ["ANSIBLE_ROLES_PATH"] == str(tmp_path / "links/roles")
    assert (tmp_path / "links/ansible_collections/devsec/hardening").samefile(tmp_path / "checkouts/dev-sec")
