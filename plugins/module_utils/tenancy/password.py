# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a password is the one that a SCRAM verifier was made from, without asking the server."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re

VERIFIER = re.compile(r"SCRAM-SHA-256\$(?P<rounds>\d+):(?P<salt>[^$]+)\$(?P<stored>[^:]+):(?P<server>.+)")


def matches(password: str, verifier: str | None) -> bool:
    """True only if it is surely the same: an md5 hash or none at all is replaced by SCRAM."""
    parts = VERIFIER.fullmatch(verifier or "")
    if not parts:
        return False
    try:
        salt = base64.b64decode(parts["salt"], validate=True)
        stored = base64.b64decode(parts["stored"], validate=True)
    except binascii.Error:
        return False
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, int(parts["rounds"]))
    client = hmac.digest(salted, b"Client Key", "sha256")
    return hmac.compare_digest(hashlib.sha256(client).digest(), stored)
