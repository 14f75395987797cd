# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError
from ansible_collections.slipway.vps.plugins.module_utils.common.lock import FileLock

HOLD = """
import fcntl, os, sys, time
handle = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
fcntl.flock(handle, fcntl.LOCK_EX)
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock, as a killed deploy would."""
    path = tmp_path / "lock"
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield path, process
    process.kill()
    process.wait()


def test_a_held_lock_is_refused_with_the_holder_named(tmp_path):
    path = tmp_path / "lock"
    with (
        FileLock(path, what="release of shop"),
        pytest.raises(SlipwayError, match=r"held by release of shop \(pid \d+\) since 20"),
    ):
        FileLock(path).acquire()
    FileLock(path).acquire()


def test_the_kernel_frees_the_lock_of_a_killed_process(holder):
    path, process = holder
    with pytest.raises(SlipwayError):
        FileLock(path).acquire()
    process.kill()
    process.wait()
    with FileLock(path):
        assert FileLock(path).holder()["pid"]


def test_waiting_ends_when_the_lock_is_freed(holder):
    path, process = holder
    process.kill()
    started = time.monotonic()
    with FileLock(path, wait=5):
        assert time.monotonic() - started < 5
    assert FileLock(path).holder() is None
