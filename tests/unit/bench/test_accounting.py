# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The accounting of a measurement, against programs whose use of processor, memory and disk is known."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest
from slipway_bench.accounting import Failed, Usage
from slipway_bench.result import ROOT

MB = 1_000_000
# The accounting waits for every child that there is, so it has a process of its own, as in a measurement.
RUN = """
import json, sys
from dataclasses import asdict
sys.path.insert(0, sys.argv[1])
from slipway_bench.accounting import measure
print(json.dumps(asdict(measure(sys.argv[2:]))))
"""
# Uses the processor for this long, by its own clock.
BURN = "import time\nwhile time.process_time() < {seconds}: pass\n"


def measured(*argv: str, before: str = "") -> Usage:
    words = [sys.executable, "-c", before + RUN, str(ROOT / "tests" / "bench"), *argv]
    done = subprocess.run(words, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise Failed(done.stderr)
    return Usage(**json.loads(done.stdout))


def python(script: str) -> Usage:
    return measured(sys.executable, "-c", script)


def started(script: str) -> str:
    return f"subprocess.Popen([sys.executable, '-c', {script!r}])"


def test_processor_time_is_that_of_the_whole_tree() -> None:
    inner = BURN.format(seconds=0.3)
    middle = f"import subprocess, sys\n{started(inner)}.wait()\n" + BURN.format(seconds=0.3)
    usage = python(f"import subprocess, sys\n{started(middle)}.wait()\n" + BURN.format(seconds=0.3))
    assert 0.9 <= usage.cpu_seconds < 1.6
    assert usage.seconds >= 0.9


def test_a_program_that_outlives_its_parent_is_counted_too() -> None:
    usage = python(f"import subprocess, sys\n{started(BURN.format(seconds=0.6))}")
    assert usage.cpu_seconds >= 0.6


def test_what_was_started_before_is_not_counted() -> None:
    before = f"import subprocess, sys\nearlier = {started(BURN.format(seconds=0.5))}\n"
    assert measured("true", before=before).cpu_seconds < 0.2


def test_sleeping_takes_no_processor_time() -> None:
    usage = measured("sleep", "0.5")
    assert usage.seconds >= 0.5
    assert usage.cpu_seconds < 0.1


def test_memory_is_the_sum_of_those_that_run_at_once() -> None:
    hold = f"import time; held = b'x' * {60 * MB}; time.sleep(1)"
    alone = python(hold)
    together = python(f"import subprocess, sys, time\nchild = {started(hold)}\n{hold}\nchild.wait()")
    assert 60 * MB < alone.peak_bytes < 140 * MB
    assert 120 * MB < together.peak_bytes < 260 * MB
    assert together.peak_bytes > alone.peak_bytes + 50 * MB


def test_a_process_that_is_about_to_begin_its_program_is_not_its_parent_again() -> None:
    # Neither copies anything, not even when it ends: that would be memory of its own for a moment.
    script = (
        f"import os, time; held = b'x' * {60 * MB}\nchild = os.fork()\ntime.sleep(0.5)\n"
        "os.waitpid(child, 0) if child else os._exit(0)"
    )
    assert 60 * MB < python(script).peak_bytes < 100 * MB


def test_what_is_written_to_disk_counts_even_if_it_is_deleted() -> None:
    place = ROOT / ".cache" / "bench"
    place.mkdir(parents=True, exist_ok=True)
    path = place / f"accounting-{time.time_ns()}"
    script = (
        f"import os; f = open({str(path)!r}, 'wb'); f.write(os.urandom({20 * MB})); f.close(); os.unlink({str(path)!r})"
    )
    usage = measured("bash", "-c", 'exec "$0" -c "$1"', sys.executable, script)
    assert not path.exists()
    assert 20 * MB <= usage.written_bytes < 22 * MB


def test_a_pipe_writes_nothing() -> None:
    usage = measured("bash", "-c", "head --bytes=20000000 /dev/zero | gzip | wc --bytes")
    # The first to read a program's file on a day may have the file system note the time: a page each.
    assert usage.written_bytes < 100_000


def test_a_program_that_fails_gives_no_figure() -> None:
    with pytest.raises(Failed, match="ended with status 3: so it was"):
        measured("bash", "-c", "echo so it was; exit 3")


def test_one_after_the_other() -> None:
    both = Usage(1.0, 0.5, 100, 10) + Usage(2.0, 0.25, 70, 5)
    assert both == Usage(3.0, 0.75, 100, 15)
