# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The domain that somebody registered, of which a name is a part, by the Public Suffix List."""

from __future__ import annotations

from collections.abc import Iterable

from ..common.process import CommandError, run

TIMEOUT = 20.0


def registered(names: Iterable[str]) -> dict[str, str]:
    """shop.example.co.uk -> example.co.uk. Names are left out where the program `psl` is not installed."""
    plain = {name: name.removeprefix("*.") for name in names}
    try:
        told = run(["psl", "--print-reg-domain"], timeout=TIMEOUT, stdin="".join(f"{one}\n" for one in plain.values()))
    except CommandError:
        return {}
    found = dict(line.split(": ", 1) for line in told.stdout.splitlines() if ": " in line)
    return {name: found[one] for name, one in plain.items() if found.get(one, "(null)") != "(null)"}
