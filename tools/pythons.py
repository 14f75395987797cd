# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which Pythons this machine has, and which ansible-core versions can be tested with them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

# ansible-core -> the minor versions of Python 3 that its controller runs on. The first line is what meta/runtime.yml
# promises at least; 2.19.0 is for machines whose only Python is 3.11, where no second line can be installed.
CORES = {"2.21.5": range(12, 15), "2.20.10": range(12, 15), "2.19.14": range(11, 14), "2.19.0": range(11, 14)}

_PROBE = "import sys, venv, ensurepip; print(sys.version_info[1], sys.version_info[0], sys._base_executable)"


class Choice(NamedTuple):
    core: str
    minor: int
    python: str


def found() -> dict[int, str]:
    """Minor version -> interpreter, for every Python 3 that really runs and can make virtual environments."""
    names = [f"python3.{minor}" for minor in range(11, 15)] + ["python3"]
    candidates = [path for path in map(shutil.which, names) if path]
    candidates += [f"/usr/bin/{name}" for name in names]
    candidates += sorted(map(str, Path.home().glob(".pyenv/versions/*/bin/python3")), reverse=True)
    pythons: dict[int, str] = {}
    for candidate in dict.fromkeys(candidates):
        if not Path(candidate).exists():
            continue
        answer = subprocess.run([candidate, "-c", _PROBE], capture_output=True, text=True, check=False)
        if answer.returncode == 0:
            minor, major, executable = answer.stdout.strip().split(" ", 2)
            if major == "3":
                pythons.setdefault(int(minor), executable)
    return pythons


def cores_to_test() -> list[Choice]:
    """The newest ansible-core on the newest Python, and the oldest line that is supported on the oldest Python."""
    pythons = found()
    choices = [
        Choice(core, minor, pythons[minor])
        for core, minors in CORES.items()
        for minor in sorted(pythons)
        if minor in minors
    ]
    if not choices:
        raise RuntimeError("no Python between 3.11 and 3.14 was found that can make virtual environments")
    newest = max((choice for choice in choices if choice.core == choices[0].core), key=lambda choice: choice.minor)
    others = [choice for choice in choices if choice.core != newest.core]
    regular = [choice for choice in others if choice.core != "2.19.0"] or others
    oldest_core = regular[-1].core
    oldest = min((choice for choice in regular if choice.core == oldest_core), key=lambda choice: choice.minor)
    return [newest, oldest]
