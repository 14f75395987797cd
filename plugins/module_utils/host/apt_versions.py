# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which version of a package the repositories have for a version that a person wrote."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from ..common.errors import SlipwayError
from ..common.process import run

LIST_SECONDS = 60.0
SHOWN = 5


def known(packages: Sequence[str]) -> dict[str, list[str]]:
    """By package, what the repositories have, newest first."""
    listed = run(["apt-cache", "madison", *packages], timeout=LIST_SECONDS).stdout
    return parse(listed, packages)


def parse(listed: str, packages: Sequence[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {name: [] for name in packages}
    for line in listed.splitlines():
        name, version = (word.strip() for word in line.split("|")[:2])
        if name in found and version not in found[name]:
            found[name].append(version)
    return found


def matches(version: str, wanted: str) -> bool:
    """`26.1.5` is any package of that release and `26.1` any of that series; the whole of a version is itself."""
    if version == wanted:
        return True
    plain = re.sub(r"^\d+:", "", version)
    return plain == wanted or (plain.startswith(wanted) and plain[len(wanted)] in ".-+~")


def choose(available: Mapping[str, Sequence[str]], wanted: str, variable: str) -> dict[str, str]:
    """By package, the newest version that fits; refused if one package has none."""
    chosen = {}
    for name, versions in available.items():
        fitting = [version for version in versions if matches(version, wanted)]
        if not fitting:
            there = f"they have {', '.join(versions[:SHOWN])}" if versions else "they do not have this package at all"
            raise SlipwayError(
                f"{variable} is {wanted}, and the repositories of this host have no such version of {name}: {there}.",
                hint=f"Set {variable} to one that is there (apt-cache madison {name}), or leave it empty. "
                "No package was changed.",
            )
        chosen[name] = fitting[0]
    return chosen
