# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a backup and its proof take of memory and disk, measured from outside: the whole tree of their processes."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
MB = 1_000_000
MOST_BYTES = 200 * MB

# The accounting waits for every child of its process, so it gets one of its own.
MEASURE = """
import json, sys
from dataclasses import asdict
sys.path.insert(0, sys.argv[1])
from slipway_bench.accounting import measure
print(json.dumps(asdict(measure(sys.argv[2:]))))
"""
WORK = """
import pickle, sys
sys.path.insert(0, sys.argv[1])
from ansible_collections.slipway.vps.plugins.module_utils.backup import engine, spec, verify
from ansible_collections.slipway.vps.plugins.module_utils.common.events import Emitter
with open(sys.argv[2], "rb") as handle:
    wanted, state = pickle.load(handle)
spec.STATE_DIRECTORY = engine.STATE_DIRECTORY = verify.STATE_DIRECTORY = state
if sys.argv[3] == "backup":
    engine.run(wanted, Emitter.null())
else:
    verify.verify(wanted, "latest", Emitter.null())
"""


def taken(spec, state, place, verb):
    """The figures of `verb` (backup, verify) with this configuration."""
    request = place / "request"
    request.touch(mode=0o600)
    request.write_bytes(pickle.dumps((spec, state)))
    work = [sys.executable, "-c", WORK, str(ROOT / ".cache" / "collections"), str(request), verb]
    words = [sys.executable, "-c", MEASURE, str(ROOT / "tests" / "bench"), *work]
    done = subprocess.run(words, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def assert_small(figures):
    assert figures["peak_bytes"] < MOST_BYTES, f"{figures['peak_bytes'] / MB:.0f} MB"
    # The state of the run, and nothing of the database.
    assert figures["written_bytes"] < MB, f"{figures['written_bytes'] / MB:.1f} MB"
