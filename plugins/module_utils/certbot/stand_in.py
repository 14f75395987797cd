# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Before Nginx starts: each site has a file to serve with, or Nginx would not start at all.

Without Nginx nobody could answer the challenge by which a new certificate comes. A site whose certificate is lost gets
one that no browser trusts until then; all others are not affected.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ..common.files import write_atomic
from ..common.process import run
from . import pair

SITES = Path("/etc/nginx/slipway/sites")
DAYS = 7
SECONDS = 30.0


def restore(directory: Path, live: Path, sites: Path = SITES) -> Iterator[str]:
    """Name each certificate that had to be put back, and how."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in named(directory, sites):
        copy = pair.path(str(directory), name)
        if pair.is_good(copy):
            continue
        if pair.publish(copy, live / name):
            yield f"{name}: copied again from {live / name}"
        else:
            write_atomic(copy, self_signed(name), pair.MODE)
            yield f"{name}: nothing whole is left, so its sites show one that nobody trusts; run playbooks/site.yml"


def named(directory: Path, sites: Path) -> list[str]:
    """The certificates that the sites name."""
    line = re.compile(rf"^\s*ssl_certificate\s+{re.escape(str(directory))}/(?P<name>[^/;\s]+)\.pem;", re.MULTILINE)
    texts = (path.read_text(encoding="utf-8", errors="replace") for path in sites.glob("*.conf"))
    return sorted({match["name"] for text in texts for match in line.finditer(text)})


def self_signed(name: str) -> str:
    """A certificate and its key."""
    with tempfile.TemporaryDirectory() as place:
        key, chain = Path(place, "key.pem"), Path(place, "chain.pem")
        argv = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        argv += ["-days", str(DAYS), "-subj", f"/CN={name[:60]}", "-keyout", str(key), "-out", str(chain)]
        run(argv, timeout=SECONDS)
        return chain.read_text(encoding="ascii") + key.read_text(encoding="ascii")
