# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Two releases are the same when their fingerprints are."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets as random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..common.files import write_atomic
from .spec import Spec

KEY_BYTES = 32


def key(path: Path) -> bytes:
    """The stack's key for fingerprints of secrets. Before the first release there is none, and any will do."""
    try:
        return bytes.fromhex(path.read_text(encoding="ascii").strip())
    except FileNotFoundError:
        return random.token_bytes(KEY_BYTES)


def make_key(path: Path) -> None:
    """Keep a key from now on."""
    if not path.exists():
        write_atomic(path, random.token_hex(KEY_BYTES) + "\n", 0o600)


def of_secret(value: str, with_key: bytes) -> str:
    """Tells whether a secret changed, and nothing else about it."""
    return hmac.new(with_key, value.encode(), hashlib.sha256).hexdigest()[:12]


def of_release(spec: Spec, templates: Mapping[str, str], with_key: bytes) -> str:
    """Of everything that decides what runs. `templates` are the checksums of the tenants' SQL templates."""
    content: dict[str, Any] = {
        **spec.public(),
        "secrets": {name: of_secret(value, with_key) for name, value in spec.secrets.items()},
        "templates": dict(templates),
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def of_templates(tenants: Mapping[str, Any]) -> dict[str, str]:
    """Checksums of the SQL templates in a tenants request, by their names."""
    return {
        str(template.get("name") or position): hashlib.sha256(
            json.dumps(template, sort_keys=True, default=str).encode()
        ).hexdigest()
        for position, template in enumerate(tenants.get("templates") or [], 1)
    }
