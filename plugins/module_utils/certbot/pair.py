# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What Nginx serves with: a copy of each certificate, with its chain and its key in one file, replaced in one step.

One configuration names all certificates, so that a single one that is damaged in certbot's own files would keep Nginx
from starting, and every other certificate from being renewed. A copy is replaced only by a pair that belongs together.
"""

from __future__ import annotations

import contextlib
import ssl
from pathlib import Path

from ..common.files import remove, write_atomic

DIRECTORY = "/etc/nginx/slipway/certificates"
RENEWED = "/run/slipway-certificates-renewed"
MODE = 0o600


def path(directory: str, name: str) -> Path:
    return Path(directory, f"{name}.pem")


def belong_together(chain: Path, key: Path) -> bool:
    """Whether both can be read and the key is the certificate's."""
    # Only what it refuses to load matters, nobody is talked to.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        # A key with a passphrase is none that a server could start with.
        context.load_cert_chain(chain, key, password=lambda: "")
    except (ssl.SSLError, OSError, ValueError):
        return False
    return True


def is_good(copy: Path) -> bool:
    return belong_together(copy, copy)


def text_of(live: Path) -> str:
    """What the copy of a live certificate holds; empty if that cannot be read."""
    with contextlib.suppress(OSError, UnicodeDecodeError):
        parts = [(live / f"{kind}.pem").read_text(encoding="ascii").rstrip("\n") for kind in ("fullchain", "privkey")]
        return "".join(f"{part}\n" for part in parts)
    return ""


def is_current(copy: Path, live: Path) -> bool:
    try:
        same = copy.read_text(encoding="ascii") == text_of(live)
        return same and copy.stat().st_mode & 0o7777 == MODE
    except (OSError, UnicodeDecodeError):
        return False


def publish(copy: Path, live: Path) -> bool:
    """Replace the copy, unless what is live is damaged; whether the copy is now what is live."""
    if not belong_together(live / "fullchain.pem", live / "privkey.pem"):
        return False
    copy.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_atomic(copy, text_of(live), MODE)
    return True


def withdraw(copy: Path) -> bool:
    return remove(copy)
