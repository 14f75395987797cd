# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where Debian packages come from: whatever mirror the outer machine is configured for."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from shell import LabError


@dataclass(frozen=True)
class Source:
    uri: str
    suite: str


@dataclass(frozen=True)
class Mirrors:
    main: str
    security: str

    def lines(self, suite: str) -> str:
        return (
            f"deb {self.main} {suite} main\n"
            f"deb {self.main} {suite}-updates main\n"
            f"deb {self.security} {suite}-security main\n"
        )


def _one_line_style(text: str) -> Iterator[Source]:
    for line in text.splitlines():
        match = re.match(r"\s*deb\s+(?:\[[^]]*\]\s+)?(\S+)\s+(\S+)", line)
        if match:
            yield Source(match[1].rstrip("/"), match[2])


def _deb822_style(text: str) -> Iterator[Source]:
    for paragraph in re.split(r"\n\s*\n", text):
        fields: dict[str, str] = dict(re.findall(r"(?m)^([A-Za-z-]+):[ \t]*(.*)$", paragraph))
        if "deb" not in fields.get("Types", "").split() or fields.get("Enabled", "yes").lower() == "no":
            continue
        for uri in fields.get("URIs", "").split():
            for suite in fields.get("Suites", "").split():
                yield Source(uri.rstrip("/"), suite)


def sources(directory: Path = Path("/etc/apt")) -> list[Source]:
    found: list[Source] = []
    for path in [directory / "sources.list", *sorted((directory / "sources.list.d").glob("*"))]:
        if path.suffix == ".sources":
            found += _deb822_style(path.read_text(encoding="utf-8"))
        elif path.suffix == ".list" and path.is_file():
            found += _one_line_style(path.read_text(encoding="utf-8"))
    return found


def configured() -> Mirrors:
    found = sources()
    main = os.environ.get("LAB_DEBIAN_MIRROR") or next(
        (source.uri for source in found if source.uri.endswith("/debian") and "-" not in source.suite), ""
    )
    security = os.environ.get("LAB_DEBIAN_SECURITY_MIRROR") or next(
        (source.uri for source in found if source.suite.endswith("-security")), ""
    )
    if not main or not security:
        raise LabError(
            "No Debian mirror is configured in /etc/apt. Set LAB_DEBIAN_MIRROR and LAB_DEBIAN_SECURITY_MIRROR "
            "to the addresses of a mirror and run this again."
        )
    return Mirrors(main, security)
