# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How control of names is proved: what certbot is told, and what it keeps of it for renewals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..common.errors import SlipwayError
from .model import HTTP, Certificate, Settings

# Its answers to be known, and the place of its credentials, are its own business.
ROUTE53 = "route53"


@dataclass(frozen=True)
class Method:
    """One way to prove names."""

    authenticator: str
    argv: tuple[str, ...]
    # keys and values in certbot's renewal file
    kept: Mapping[str, str] = field(default_factory=dict)
    # seconds that it waits by itself
    pause: int = 0


def method(wanted: Certificate, settings: Settings) -> Method:
    """How the certificate's names are proved."""
    if wanted.proof(settings) == HTTP:
        kept = {"webroot_path": settings.webroot}
        return Method("webroot", ("--webroot", "--webroot-path", settings.webroot), kept)
    dns = settings.dns
    if not dns.possible:
        raise SlipwayError(
            f"The certificate {wanted.name} needs the DNS challenge, and nothing is set that could answer it.",
            hint="Set letsencrypt_dns_plugin and letsencrypt_dns_credentials, or letsencrypt_dns_auth_hook.",
        )
    if not dns.plugin:
        hooks = {"manual_auth_hook": dns.auth_hook}
        hooks.update({"manual_cleanup_hook": dns.cleanup_hook} if dns.cleanup_hook else {})
        words = ("--manual", "--preferred-challenges", "dns")
        return Method("manual", (*words, *_options(hooks)), hooks)
    name = f"dns_{dns.plugin}"
    kept = {}
    if dns.plugin != ROUTE53:
        kept = {f"{name}_credentials": dns.credentials, f"{name}_propagation_seconds": str(dns.propagation)}
    authenticator = name.replace("_", "-")
    return Method(authenticator, ("--authenticator", authenticator, *_options(kept)), kept, dns.propagation)


def _options(kept: Mapping[str, str]) -> list[str]:
    return [word for key, value in kept.items() for word in (f"--{key.replace('_', '-')}", value)]


def environment(settings: Settings) -> dict[str, str]:
    """What certbot is told beside its options."""
    found = {"REQUESTS_CA_BUNDLE": settings.ca_file} if settings.ca_file else {}
    if settings.dns.plugin == ROUTE53 and settings.dns.credentials:
        found["AWS_CONFIG_FILE"] = settings.dns.credentials
    return found
