# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The version of the collection before this one: the newest tag that is not this commit's own, or until the first tag
the commit that molecule/upgrade/previous names. Its tree is exported once and run as its users ran it."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from pathlib import Path

from slipway_lab import ROOT

PINNED = ROOT / "molecule" / "upgrade" / "previous"
PLACE = ROOT / ".cache" / "upgrade"
VERSIONS = "[v0-9]*"


class NoPreviousVersion(Exception):
    """This clone does not have it; the message says what to do."""


def git(*words: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, check=False)


def _there(commit: str) -> bool:
    return git("cat-file", "-e", f"{commit}^{{commit}}").returncode == 0


def reference() -> str:
    """A tag, or a commit."""
    tagged = git("describe", "--tags", "--abbrev=0", "--match", VERSIONS, "HEAD^")
    wanted = tagged.stdout.decode().strip() if tagged.returncode == 0 else PINNED.read_text().strip()
    if not _there(wanted):
        # A shallow clone; where it came from may have the rest.
        git("fetch", "--quiet", "--unshallow", "--tags")
    if not _there(wanted):
        raise NoPreviousVersion(
            f"This clone has neither a tag of a version nor the commit {wanted[:12]}. Fetch the history: "
            "git fetch --unshallow --tags"
        )
    return wanted


def tree() -> Path:
    """Its files, beside which the lab and the other collections are those of this checkout."""
    commit = git("rev-parse", f"{reference()}^{{commit}}").stdout.decode().strip()
    place = PLACE / commit
    if not place.is_dir():
        part = place.with_suffix(".part")
        with tarfile.open(fileobj=io.BytesIO(git("archive", commit).stdout)) as archive:
            archive.extractall(part, filter="tar")
        (part / ".cache").symlink_to(ROOT / ".cache")
        part.rename(place)
    return place


def playbook(name: str, *arguments: str, timeout: float = 900) -> subprocess.CompletedProcess[str]:
    """A playbook of that version, with its own inventory of the demo, roles and modules."""
    place = tree()
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("MOLECULE_", "PYTEST_"))}
    collections = f"{place}/playbooks/collections:{ROOT}/.cache/collections"
    own = {"ANSIBLE_CONFIG": f"{place}/ansible.cfg", "ANSIBLE_COLLECTIONS_PATH": collections, "ANSIBLE_NOCOLOR": "1"}
    return subprocess.run(
        ["ansible-playbook", "--inventory", "inventories/demo", f"playbooks/{name}.yml", *arguments],
        cwd=place,
        env={**kept, **own},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
