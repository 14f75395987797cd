# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A play as its user runs it, with what it takes, and what the one module takes that is measured in it."""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from .accounting import Usage, measure
from .result import ROOT

MEASURED = Path(__file__).with_name("measured.py")
CACHE = ROOT / ".cache"
# Ours, and after them those that peers are made of.
COLLECTIONS = (CACHE / "collections", CACHE / "peers")


def play(
    playbook: Path, variables: Path, folder: Path, *, modules: bool = False
) -> tuple[Usage, list[dict[str, float]]]:
    """What the whole play took and, with `modules`, what each of its modules did in a process of its own."""
    notes = folder / "notes"
    notes.write_text("", encoding="utf-8")
    # The stand-in starts a Python of its own for each module: in a loop, a peer would pay for it each time.
    python = MEASURED if modules else sys.executable
    words = ["-i", "localhost,", "-e", f"@{variables}", "-e", f"ansible_python_interpreter={python}"]
    # Ansible as it is installed, without the settings of this project.
    settings = folder / "ansible.cfg"
    settings.write_text(f"[defaults]\ncollections_path = {':'.join(map(str, COLLECTIONS))}\n", encoding="utf-8")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    measured = {"MEASURED_NOTES": str(notes), "MEASURED_PYTHON": sys.executable, "ANSIBLE_CONFIG": str(settings)}
    usage = apart(["ansible-playbook", *words, str(playbook)], {**kept, **measured})
    return usage, [json.loads(line) for line in notes.read_text(encoding="utf-8").splitlines()]


def apart(command: list[str], environment: dict[str, str]) -> Usage:
    """Measured from a process of its own: all that the measuring one started counts, and servers must not."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(measure, command, env=environment, cwd=ROOT).result()
