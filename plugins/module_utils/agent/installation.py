# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Installing the agent: the very files that a module carries to the host become the package `slipway` there."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from ..common.files import write_atomic
from ..common.process import run
from ..common.version import __version__

if TYPE_CHECKING:
    from importlib.abc import Traversable

LIBRARY = Path("/usr/lib/slipway")
COMMAND = Path("/usr/bin/slipway")
# What the launcher's first line names, which need not be what Ansible uses.
PYTHON = Path("/usr/bin/python3")

COMPILE_SECONDS = 300

LAUNCHER = """#!/usr/bin/python3
# Installed by slipway.vps.agent_package; changes are overwritten.
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, "/usr/lib/slipway")

from slipway.agent.cli import main

sys.exit(main())
"""


@dataclass
class Plan:
    """Files to write (path to text), files that no longer belong, and whether bytecode is missing."""

    write: dict[str, str] = field(default_factory=dict)
    remove: list[str] = field(default_factory=list)
    uncompiled: bool = False

    @property
    def changed(self) -> bool:
        return bool(self.write or self.remove or self.uncompiled)


def source() -> dict[str, str]:
    """Every Python file of module_utils as this process sees it: in a directory or inside a module's archive."""
    root = resources.files(__package__.rpartition(".")[0])
    return dict(sorted(_files(root, "")))


def _files(place: Traversable, prefix: str) -> Iterator[tuple[str, str]]:
    for entry in place.iterdir():
        if entry.is_dir():
            if entry.name != "__pycache__":
                yield from _files(entry, f"{prefix}{entry.name}/")
        elif entry.name.endswith(".py"):
            yield f"{prefix}{entry.name}", entry.read_text(encoding="utf-8")


def wanted(files: dict[str, str]) -> dict[str, str]:
    """Absolute paths on the host and their text."""
    package = LIBRARY / "slipway"
    tree = {str(package / name): text for name, text in files.items()}
    tree[str(package / "__init__.py")] = ""
    for name in files:
        for parent in list(Path(name).parents)[:-1]:
            tree.setdefault(str(package / parent / "__init__.py"), "")
    tree[str(LIBRARY / "VERSION")] = __version__ + "\n"
    tree[str(COMMAND)] = LAUNCHER
    return tree


def plan(tree: dict[str, str]) -> Plan:
    found = Plan()
    for name, text in tree.items():
        path = Path(name)
        if not path.is_file() or path.read_text(encoding="utf-8") != text or path.stat().st_mode & 0o7777 != mode(name):
            found.write[name] = text
    found.remove = sorted(str(path) for path in LIBRARY.rglob("*.py") if str(path) not in tree)
    bytecode = (_bytecode(Path(name)) for name in tree if name.endswith(".py"))
    found.uncompiled = bool(found.write) or not all(path.is_file() for path in bytecode)
    return found


def _bytecode(path: Path) -> Path:
    """Where the Python that is there now looks; a newer one reads no older bytecode."""
    tag = PYTHON.resolve().name.replace("python", "cpython-").replace(".", "")
    return path.parent / "__pycache__" / f"{path.stem}.{tag}.pyc"


def mode(name: str) -> int:
    return 0o755 if name == str(COMMAND) else 0o644


def apply(found: Plan) -> None:
    """Write the package; the version file goes last, so that a half installation never claims to be whole."""
    for name in sorted(found.write, key=lambda name: name.endswith("/VERSION")):
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, found.write[name], mode(name))
    for name in found.remove:
        Path(name).unlink()
    if found.uncompiled:
        compile_all()


def compile_all() -> None:
    """Timers start the command all day; without bytecode up to half of its time goes into compiling it.

    Python itself notices a source file that is newer, so that bytecode never hides a change made by hand.
    """
    for old in LIBRARY.rglob("__pycache__"):
        shutil.rmtree(old)
    run([str(PYTHON), "-m", "compileall", "-q", str(LIBRARY)], timeout=COMPILE_SECONDS)


def uninstall() -> bool:
    """Take the agent away; its state and configuration stay."""
    there = LIBRARY.exists() or COMMAND.exists()
    shutil.rmtree(LIBRARY, ignore_errors=True)
    COMMAND.unlink(missing_ok=True)
    return there
