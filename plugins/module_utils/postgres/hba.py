# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lines of our own at the top of pg_hba.conf, where the first line that fits counts. Pure: a text in, a text out."""

from __future__ import annotations

import re
from collections.abc import Iterable

BEGIN = "# Slipway: while a password is being changed"
END = "# Slipway: end"
BLOCK = re.compile(rf"{re.escape(BEGIN)}\n.*?{re.escape(END)}\n", re.DOTALL)


def admit(text: str, database: str, user: str, addresses: Iterable[str]) -> str:
    """Let this user into this database from these addresses, whatever the password."""
    lines = [f"host {_quoted(database)} {_quoted(user)} {address}/32 trust\n" for address in addresses]
    return f"{BEGIN}\n{''.join(lines)}{END}\n{withdraw(text)}"


def withdraw(text: str) -> str:
    """The text without our lines."""
    return BLOCK.sub("", text)


def _quoted(name: str) -> str:
    """Quoted, a name loses any special meaning (such as `all`)."""
    return '"' + name.replace('"', '""') + '"'
