# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a program and everything that it starts take: time, processor, memory, bytes written to disk.

The processor and the writes are the kernel's own sums, of processes that ended; one that outlives its parent comes
to us and is waited for too, so nothing is left out. The memory is looked at every few milliseconds: it is the sum over
the processes that run at once, in which shared pages count for each of them.
"""

from __future__ import annotations

import ctypes
import os
import resource
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SET_CHILD_SUBREAPER = 36
BLOCK_BYTES = 512
LOOK_SECONDS = 0.03
ORPHAN_SECONDS = 30.0
PAGE_BYTES = resource.getpagesize()
TOLD_BYTES = 4000


@dataclass(frozen=True)
class Usage:
    seconds: float
    cpu_seconds: float
    peak_bytes: int
    written_bytes: int
    output: str = ""

    def __add__(self, other: Usage) -> Usage:
        """One after the other."""
        return Usage(
            self.seconds + other.seconds,
            self.cpu_seconds + other.cpu_seconds,
            max(self.peak_bytes, other.peak_bytes),
            self.written_bytes + other.written_bytes,
        )


class Failed(Exception):
    """A program that is measured did not end well: there is no figure."""


class Memory(threading.Thread):
    """Looks at the resident memory of a process and of all that descends from it."""

    def __init__(self, root: int) -> None:
        super().__init__(name="memory", daemon=True)
        self.peak = 0
        self._root = root
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.wait(LOOK_SECONDS):
            self.peak = max(self.peak, resident(self._root))

    def stop(self) -> None:
        self._over.set()
        self.join()


@dataclass(frozen=True)
class Look:
    """At one process: its parent, its resident pages, and what tells its memory from that of others."""

    parent: int
    pages: int
    memory: tuple[str, str]


def resident(root: int) -> int:
    """Bytes, over the process and its descendants."""
    looks = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                text = Path(f"/proc/{entry}/stat").read_text(encoding="utf-8", errors="replace")
            except OSError:
                continue
            # The name, in brackets, may hold anything; what follows it has fixed places.
            fields = text.rpartition(")")[2].split()
            looks[int(entry)] = Look(int(fields[1]), int(fields[21]), (fields[20], fields[23]))
    parents = {process: look.parent for process, look in looks.items()}
    mine = [look for process, look in looks.items() if _descends(process, root, parents)]
    # Until it begins its own program, a new process is its parent once more: the same size, the same pages.
    return (
        sum(one.pages for one in mine if one.parent not in looks or one.memory != looks[one.parent].memory) * PAGE_BYTES
    )


def _descends(process: int, root: int, parents: dict[int, int]) -> bool:
    while process != root:
        if process not in parents:
            return False
        process = parents[process]
    return True


def measure(argv: Sequence[str | Path], **popen: Any) -> Usage:
    """Run a program to its end. What this process started before has to end first, or it would be counted too."""
    if ctypes.CDLL(None, use_errno=True).prctl(SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")
    _wait_for_orphans()
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    process = subprocess.Popen([str(word) for word in argv], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **popen)
    memory = Memory(process.pid)
    memory.start()
    try:
        output = process.communicate()[0].decode(errors="replace")
        seconds = time.monotonic() - began
        _wait_for_orphans()
    finally:
        memory.stop()
    if process.returncode != 0:
        raise Failed(f"{argv[0]} ended with status {process.returncode}: {output[-TOLD_BYTES:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Usage(
        seconds,
        after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        memory.peak,
        (after.ru_oublock - before.ru_oublock) * BLOCK_BYTES,
        output,
    )


def _wait_for_orphans() -> None:
    end = time.monotonic() + ORPHAN_SECONDS
    while True:
        try:
            ended, _status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not ended:
            if time.monotonic() > end:
                raise Failed("something that was started goes on in the background: its processor time is not known")
            time.sleep(LOOK_SECONDS)
