# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is wanted of certbot, and where it keeps things."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..common.errors import SlipwayError
from ..common.validate import domain

LETS_ENCRYPT = "https://acme-v02.api.letsencrypt.org/directory"
LETS_ENCRYPT_STAGING = "https://acme-staging-v02.api.letsencrypt.org/directory"
MAX_DOMAINS = 100


@dataclass(frozen=True)
class Settings:
    server: str = LETS_ENCRYPT
    email: str = ""
    webroot: str = "/var/www/letsencrypt"
    key_type: str = "ecdsa"
    elliptic_curve: str = "secp256r1"
    ca_file: str = ""
    config_dir: str = "/etc/letsencrypt"
    timeout: float = 180.0
    lock_wait: float = 120.0


@dataclass(frozen=True)
class Certificate:
    """One certificate: its name on disk and the names in it, the first being the subject."""

    name: str
    domains: tuple[str, ...]
    present: bool = True


def certificate(item: Mapping[str, Any]) -> Certificate:
    """A checked certificate; a name that certbot would misread or a challenge cannot prove is refused."""
    name = str(item["name"])
    if not name or name.startswith(("-", ".")) or "/" in name or any(letter.isspace() for letter in name):
        raise SlipwayError(
            f"The certificate name {name!r} is not allowed.",
            hint="It becomes a directory of /etc/letsencrypt/live: use letters, digits, dots and hyphens.",
        )
    present = item.get("state", "present") == "present"
    names = [str(value) for value in item.get("domains") or []]
    if present and not 0 < len(names) <= MAX_DOMAINS:
        raise SlipwayError(
            f"The certificate {name} has {len(names)} domains.",
            hint=f"Give 1 to {MAX_DOMAINS}, and split a longer list into several certificates.",
        )
    for value in names:
        if value.startswith("*."):
            raise SlipwayError(
                f"The certificate {name} asks for the wildcard {value}, which the HTTP challenge cannot prove.",
                hint="List the names one by one.",
            )
    return Certificate(name, tuple(dict.fromkeys(domain(value) for value in names)), present)
