# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is wanted of certbot, and where it keeps things."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..common.errors import SlipwayError
from ..common.validate import domain
from . import pair
from .limits import Limits

LETS_ENCRYPT = "https://acme-v02.api.letsencrypt.org/directory"
LETS_ENCRYPT_STAGING = "https://acme-staging-v02.api.letsencrypt.org/directory"
MAX_DOMAINS = 100
LEDGER = "/var/lib/slipway/certificates"
HTTP = "http"
DNS = "dns"
WILDCARD = "*."


@dataclass(frozen=True)
class Answers:
    """Who puts the answers to DNS challenges into the zone: a plugin of certbot's, or programs of one's own."""

    plugin: str = ""
    credentials: str = ""
    propagation: int = 60
    auth_hook: str = ""
    cleanup_hook: str = ""

    @property
    def possible(self) -> bool:
        return bool(self.plugin or self.auth_hook)


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
    challenge: str = HTTP
    dns: Answers = field(default_factory=Answers)
    limits: Limits = field(default_factory=Limits)
    ledger: str = LEDGER
    # where the copies are that Nginx serves with
    serving: str = pair.DIRECTORY
    # a file that is there until Nginx has read a replaced copy: certbot's post hook reloads it then
    renewed: str = pair.RENEWED
    # with fewer days left than this, an authority that is away is a failure
    grace_days: int = 7
    # whether the authority is asked if it wants a certificate replaced before its time
    renewal_info: bool = False

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Settings:
        """As a module's parameters or role letsencrypt describe them; what is left out or None is as usual."""
        given = {key: value for key, value in values.items() if value is not None}
        answers = {key: value for key, value in given.pop("dns", {}).items() if value is not None}
        answers.update({"propagation": int(answers["propagation"])} if "propagation" in answers else {})
        limits = Limits.of(given.get("server", LETS_ENCRYPT) == LETS_ENCRYPT, given.pop("limits", {}))
        return cls(**given, dns=Answers(**answers), limits=limits)


@dataclass(frozen=True)
class Certificate:
    """One certificate: its name on disk and the names in it, the first being the subject.

    `home` is a name whose addresses each of the domains has to have before the authority is asked.
    """

    name: str
    domains: tuple[str, ...]
    present: bool = True
    challenge: str = ""
    home: str = ""

    def proof(self, settings: Settings) -> str:
        """How control of the names is shown. Only the DNS can prove a wildcard."""
        wildcard = any(name.startswith(WILDCARD) for name in self.domains)
        return self.challenge or (DNS if wildcard else settings.challenge)


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
    unique = tuple(dict.fromkeys(_domain(value) for value in names))
    home = str(item.get("same_address_as") or "")
    found = Certificate(name, unique, present, str(item.get("challenge") or ""), domain(home) if home else "")
    if found.challenge == HTTP and any(value.startswith(WILDCARD) for value in unique):
        raise SlipwayError(
            f"The certificate {name} asks for a wildcard, which the HTTP challenge cannot prove.",
            hint="Give it the challenge dns, or list the names one by one.",
        )
    return found


def _domain(value: str) -> str:
    return WILDCARD + domain(value[len(WILDCARD) :]) if value.startswith(WILDCARD) else domain(value)
