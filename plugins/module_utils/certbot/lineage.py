# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What certbot has on disk: its renewal settings and the certificate that is live, or what is wrong with them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

from ..common.errors import SlipwayError
from ..common.process import CommandError, run
from . import pair

OPENSSL_TIMEOUT = 20.0
END = re.compile(r"^notAfter=(?P<end>.+?) GMT$", re.MULTILINE)
NAMES = re.compile(r"DNS:([^,\s]+)")
KINDS = ("cert", "chain", "fullchain", "privkey")
# Without these certbot cannot renew it.
NEEDED = (*KINDS, "authenticator", "server")
NO_TIME = datetime.fromtimestamp(0, timezone.utc)


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
    # why it can neither be renewed nor mended; such a one is obtained anew
    fault: str = ""
    # the newest version in the archive that is whole, if what is live is not
    relink: int = 0


@dataclass(frozen=True)
class Place:
    """Where certbot keeps one certificate."""

    config_dir: Path
    name: str

    @property
    def renewal(self) -> Path:
        return self.config_dir / "renewal" / f"{self.name}.conf"

    @property
    def live(self) -> Path:
        return self.config_dir / "live" / self.name

    @property
    def archive(self) -> Path:
        return self.config_dir / "archive" / self.name

    @property
    def all(self) -> tuple[Path, ...]:
        return self.renewal, self.live, self.archive

    def stored(self, kind: str, version: int) -> Path:
        return self.archive / f"{kind}{version}.pem"

    def linked(self) -> int:
        """The version that all four links name; 0 if they do not agree."""
        found = set()
        for kind in KINDS:
            link = self.live / f"{kind}.pem"
            match = re.fullmatch(rf"{kind}([1-9][0-9]*)\.pem", link.readlink().name) if link.is_symlink() else None
            found.add(int(match[1]) if match and link.exists() else 0)
        return found.pop() if len(found) == 1 else 0

    def is_whole(self, version: int) -> bool:
        return all(self.stored(kind, version).is_file() for kind in KINDS) and pair.belong_together(
            self.stored("fullchain", version), self.stored("privkey", version)
        )

    def newest_whole(self) -> int:
        """The newest version with a certificate and the key that belongs to it; 0 if there is none."""
        numbers = [re.fullmatch(r"fullchain([1-9][0-9]*)\.pem", path.name) for path in self.archive.glob("fullchain*")]
        versions = sorted((int(match[1]) for match in numbers if match), reverse=True)
        return next((version for version in versions if self.is_whole(version)), 0)


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


def look(certificate: Path) -> tuple[frozenset[str], datetime]:
    """Names and end of a certificate."""
    argv = ["openssl", "x509", "-in", str(certificate), "-noout", "-enddate", "-ext", "subjectAltName"]
    return parse_openssl(run(argv, timeout=OPENSSL_TIMEOUT, env={"LC_ALL": "C"}).stdout)


def read(config_dir: str, name: str) -> Lineage | None:
    """The certificate called `name`; None when certbot keeps nothing of that name."""
    place = Place(Path(config_dir), name)
    if not any(path.is_symlink() or path.exists() for path in place.all):
        return None
    try:
        settings = parse_renewal(place.renewal.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return _broken(name, "its renewal settings cannot be read")
    lacking = [key for key in NEEDED if not settings.get(key)]
    if lacking:
        return _broken(name, f"its renewal settings lack {', '.join(lacking)}")
    linked = place.linked()
    version = linked if linked and place.is_whole(linked) else place.newest_whole()
    if not version:
        return _broken(name, "its certificate and its private key are not there or do not belong together")
    try:
        domains, not_after = look(place.stored("fullchain", version))
    except (SlipwayError, CommandError):
        return _broken(name, "its certificate cannot be read")
    return Lineage(
        name=name,
        domains=domains,
        not_after=not_after,
        server=settings["server"],
        authenticator=settings["authenticator"],
        key_type=settings.get("key_type", "rsa"),
        parameters=settings,
        relink=0 if version == linked else version,
    )


def _broken(name: str, fault: str) -> Lineage:
    return Lineage(name, frozenset(), NO_TIME, "", "", "", fault=fault)
