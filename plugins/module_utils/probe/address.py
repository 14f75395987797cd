# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""host:port as people write it."""

from __future__ import annotations

from ..common.errors import SlipwayError

MAX_PORT = 65535


def split(text: str, default_port: int | None = None) -> tuple[str, int]:
    """`db.example.org:5432`, `[::1]:5432`, or a bare host when there is a default port."""
    host, separator, port = text.rpartition(":")
    if not separator or text.endswith("]") or (":" in host and not host.startswith("[")):
        host, port = text, ""
    if not port and default_port is not None:
        port = str(default_port)
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isdecimal() or not 0 < int(port) <= MAX_PORT:
        raise SlipwayError(
            f"{text!r} is not an address.", hint="Write host:port, and an IPv6 address in brackets: [::1]:443."
        )
    return host, int(port)
