# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The programs that a dump goes through on its way, and the same way back. One more is one more class here."""

from __future__ import annotations

import os
from typing import Protocol

from ..common.errors import SlipwayError
from .source import Command
from .spec import Spec


class Filter(Protocol):
    suffix: str

    def forth(self) -> Command: ...

    def back(self) -> Command: ...


class Zstd:
    suffix = ".zst"
    # What a thread takes at once. Left to itself the program takes four times as much memory for the same result.
    job = "-B2MiB"

    def __init__(self, level: int = 3, threads: int = 2) -> None:
        self.level = level
        self.threads = threads

    def forth(self) -> Command:
        return Command(("zstd", f"-{self.level}", f"-T{self.threads}", self.job, "--quiet", "--check", "--stdout"))

    def back(self) -> Command:
        return Command(("zstd", "--decompress", "--quiet", "--stdout"))


class Age:
    suffix = ".age"

    def __init__(self, recipients: tuple[str, ...], identity_file: str) -> None:
        self.recipients = recipients
        self.identity_file = identity_file

    def forth(self) -> Command:
        # Recipients are public keys: they may be seen.
        return Command(("age", "--encrypt", *[word for one in self.recipients for word in ("--recipient", one)]))

    def back(self) -> Command:
        if not self.identity_file or not os.path.exists(self.identity_file):
            raise SlipwayError(
                "The backup is encrypted and this host has no key to read it"
                + (f" ({self.identity_file} is missing)." if self.identity_file else "."),
                hint="Give the age identity with backup_age_identity (or -e restore_age_identity=FILE on the host).",
            )
        return Command(("age", "--decrypt", "--identity", self.identity_file))


def chain(spec: Spec, *, encrypted: bool) -> list[Filter]:
    """In the order in which a dump passes them."""
    filters: list[Filter] = [Zstd(spec.level, spec.threads)]
    if encrypted:
        filters.append(Age(spec.recipients, spec.identity_file))
    return filters


def forth(filters: list[Filter]) -> list[Command]:
    return [one.forth() for one in filters]


def back(filters: list[Filter]) -> list[Command]:
    return [one.back() for one in reversed(filters)]


def suffix(filters: list[Filter]) -> str:
    return "".join(one.suffix for one in filters)
