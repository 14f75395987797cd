# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What certbot has on disk: its renewal settings and the certificate that is live."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

from ..common.errors import SlipwayError
from ..common.process import run

OPENSSL_TIMEOUT = 20.0
END = re.compile(r"^notAfter=(?P<end>.+?) GMT$", re.MULTILINE)
NAMES = re.compile(r"DNS:([^,\s]+)")


@dataclass(frozen=True)
class Lineage:
    name: str
    domains: frozenset[str]
    not_after: datetime
    server: str
    authenticator: str
    key_type: str
    # all that certbot keeps for renewals
    parameters: Mapping[str, str] = field(default_factory=dict)


def parse_renewal(text: str) -> dict[str, str]:
    """The `key = value` lines of a renewal file, of all its sections (their keys do not overlap)."""
    values: dict[str, str] = {}
    for line in text.splitlines():
        key, separator, value = line.partition("=")
        if separator and not line.lstrip().startswith(("#", "[")):
            values[key.strip()] = value.strip().rstrip(",")
    return values


def parse_openssl(text: str) -> tuple[frozenset[str], datetime]:
    """Names and end of `openssl x509 -noout -enddate -ext subjectAltName`."""
    end = END.search(text)
    if end is None:
        raise SlipwayError("openssl did not tell when the certificate ends.", hint="See openssl x509 -text.")
    moment = datetime.strptime(end["end"], "%b %d %H:%M:%S %Y").replace(tzinfo=timezone.utc)
    return frozenset(name.lower() for name in NAMES.findall(text)), moment


def read(config_dir: str, name: str) -> Lineage | None:
    """The certificate called `name`, or None when certbot does not keep one that can be renewed."""
    renewal = Path(config_dir, "renewal", f"{name}.conf")
    live = Path(config_dir, "live", name, "fullchain.pem")
    if not (renewal.is_file() and live.is_file()):
        return None
    settings = parse_renewal(renewal.read_text(encoding="utf-8"))
    argv = ["openssl", "x509", "-in", str(live), "-noout", "-enddate", "-ext", "subjectAltName"]
    domains, not_after = parse_openssl(run(argv, timeout=OPENSSL_TIMEOUT, env={"LC_ALL": "C"}).stdout)
    return Lineage(
        name=name,
        domains=domains,
        not_after=not_after,
        server=settings.get("server", ""),
        authenticator=settings.get("authenticator", ""),
        key_type=settings.get("key_type", "rsa"),
        parameters=settings,
    )
