# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ansible_collections.slipway.vps.plugins.module_utils.agent import installation


@pytest.fixture
def host(tmp_path, monkeypatch):
    monkeypatch.setattr(installation, "LIBRARY", tmp_path / "lib")
    monkeypatch.setattr(installation, "COMMAND", tmp_path / "bin" / "slipway")
    monkeypatch.setattr(installation, "PYTHON", Path(sys.executable))
    return tmp_path


def test_the_installed_package_runs_by_itself(host):
    installation.apply(installation.plan(installation.wanted(installation.source())))
    library = str(host / "lib")
    code = f"import sys; sys.path.insert(0, {library!r}); from slipway.agent.cli import main; main(['--version'])"
    answer = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=False)
    assert answer.stdout.startswith("slipway 0."), answer.stderr


def test_a_second_plan_is_empty_and_drift_is_found(host):
    tree = installation.wanted(installation.source())
    installation.apply(installation.plan(tree))
    assert not installation.plan(tree).changed
    damaged = host / "lib" / "slipway" / "common" / "lock.py"
    damaged.write_text("")
    (host / "lib" / "slipway" / "old.py").write_text("")
    plan = installation.plan(tree)
    assert list(plan.write) == [str(damaged)]
    assert plan.remove == [str(host / "lib" / "slipway" / "old.py")]
    installation.apply(plan)
    assert not installation.plan(tree).changed


def test_the_command_compiles_nothing_when_it_starts(host):
    tree = installation.wanted(installation.source())
    installation.apply(installation.plan(tree))
    library = str(host / "lib")
    code = f"import sys; sys.path.insert(0, {library!r}); from slipway.agent.cli import main; main(['wal', '--help'])"
    answer = subprocess.run([sys.executable, "-I", "-v", "-c", code], capture_output=True, text=True, check=False)
    ours = [line for line in answer.stderr.splitlines() if line.startswith("# code object from") and library in line]
    assert len(ours) > 30
    assert [line for line in ours if "__pycache__" not in line] == []


def test_bytecode_that_is_missing_is_made_again_and_none_outlives_its_source(host):
    tree = installation.wanted(installation.source())
    installation.apply(installation.plan(tree))
    stale = host / "lib" / "slipway" / "common" / "__pycache__" / "gone.cpython-310.pyc"
    stale.write_bytes(b"")
    next((host / "lib" / "slipway" / "release").glob("__pycache__/engine.*")).unlink()
    plan = installation.plan(tree)
    assert plan.changed and not plan.write and not plan.remove
    installation.apply(plan)
    assert not installation.plan(tree).changed
    assert not stale.exists()


def test_bytecode_does_not_hide_what_somebody_changed(host):
    installation.apply(installation.plan(installation.wanted(installation.source())))
    version = host / "lib" / "slipway" / "common" / "version.py"
    version.write_text(version.read_text() + '\n__version__ = "by hand"\n')
    code = f"import sys; sys.path.insert(0, {str(host / 'lib')!r}); from slipway.common.version import __version__ as v"
    answer = subprocess.run(
        [sys.executable, "-I", "-c", f"{code}; print(v)"], check=False, capture_output=True, text=True
    )
    assert answer.stdout.strip() == "by hand"


def test_uninstall_says_whether_there_was_something(host):
    installation.apply(installation.plan(installation.wanted(installation.source())))
    assert installation.uninstall() is True
    assert installation.uninstall() is False
