# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import ClassVar

from ..context import Context, resolve
from ..option import Option
from ..result import Outcome, fail, ok
from .base import ProbeType


class Dns(ProbeType):
    name = "dns"
    summary = "A name resolves, as this machine's resolver sees it, and to the expected addresses."
    target = "a host name."
    options: ClassVar[dict[str, Option]] = {
        "addresses": Option("list", "Addresses of which the name must have all.", elements="str", default=[]),
    }

    def expected(self) -> str:
        return f"resolves to {', '.join(self.option('addresses')) or 'an address'}"

    def run(self, context: Context) -> Outcome:
        found = sorted({str(address[0]) for _family, address in resolve(self.probe.target)})
        missing = [address for address in self.option("addresses") if address not in found]
        seen = ", ".join(found)
        if missing:
            return fail(
                f"resolves to {seen} and not to {', '.join(missing)}",
                "Correct the A or AAAA record, and wait for its time to live.",
                addresses=found,
            )
        return ok(f"resolves to {seen}", addresses=found)
