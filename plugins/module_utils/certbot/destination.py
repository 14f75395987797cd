# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a custom domain leads here, asked before the authority is: that one counts each name it cannot find here."""

from __future__ import annotations

from collections.abc import Callable


def elsewhere(host: str, home: str, addresses: Callable[[str], set[str]]) -> str:
    """Why a custom domain does not lead to where the tenant's subdomain does; empty if it does, or nobody can tell."""
    here = addresses(home)
    if not here:
        return ""
    there = addresses(host)
    if not there:
        return f"The custom domain {host} has no address in the DNS. Create a CNAME record for it that names {home}."
    if not there & here:
        return (
            f"The custom domain {host} points to {', '.join(sorted(there))}, and not to {', '.join(sorted(here))} as "
            f"{home} does. Create a CNAME record for it that names {home}, or set tenants_verify_domains: false if "
            "what is there passes requests on."
        )
    return ""
