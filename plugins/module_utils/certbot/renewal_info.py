# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether an authority wants a certificate replaced before its time, as it does with a revoked one (RFC 9773).

Nobody has to log in to ask. An authority that does not answer, or does not know the question, has no wish.
"""

from __future__ import annotations

import base64
import http.client
import json
import re
import ssl
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ..common.process import CommandError, run

SECONDS = 5.0
AT_ONCE = 8
MAX_ANSWER = 1 << 16
OK = 200
SERIAL = re.compile(r"^serial=([0-9A-F]+)$", re.MULTILINE)
ISSUER_KEY = re.compile(r"^\s*(?:keyid:)?((?:[0-9A-F]{2}:)+[0-9A-F]{2})$", re.MULTILINE)


def wishes(directory: str, ca_file: str, certificates: Mapping[str, Path]) -> dict[str, str]:
    """Why those certificates, by name, should be replaced now for which the authority says so."""
    try:
        context = ssl.create_default_context(cafile=ca_file or None)
        url = str(_get(directory, context)["renewalInfo"])
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
        return {}
    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = pool.map(lambda path: _wish(url, context, path), certificates.values())
        return {name: wish for name, wish in zip(certificates, answers, strict=True) if wish}


def _wish(url: str, context: ssl.SSLContext, path: Path) -> str:
    try:
        answer = _get(f"{url.rstrip('/')}/{identity(path)}", context)
        return told(answer, datetime.now(timezone.utc))
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError, CommandError):
        return ""


def told(answer: Mapping[str, Any], now: datetime) -> str:
    """The wish in an answer; the time for an ordinary renewal, which certbot's timer sees to, is none."""
    end = datetime.fromisoformat(re.sub(r"(\.\d+)?Z$", "+00:00", str(answer["suggestedWindow"]["end"])))
    if end > now:
        return ""
    why = str(answer.get("explanationURL") or "")
    return "the authority wants it replaced at once" + (f", see {why}" if why else "")


def identity(path: Path) -> str:
    """What the authority calls a certificate: its issuer's key and its serial number."""
    argv = ["openssl", "x509", "-in", str(path), "-noout", "-serial", "-ext", "authorityKeyIdentifier"]
    said = run(argv, timeout=SECONDS, env={"LC_ALL": "C"}).stdout
    serial, issuer = SERIAL.search(said), ISSUER_KEY.search(said)
    if serial is None or issuer is None:
        raise ValueError("the certificate names neither its serial number nor its issuer's key")
    number = bytes.fromhex(serial[1] if len(serial[1]) % 2 == 0 else f"0{serial[1]}")
    # as DER writes a number that is not negative
    number = b"\0" + number if number[0] & 0x80 else number
    return f"{_word(bytes.fromhex(issuer[1].replace(':', '')))}.{_word(number)}"


def _word(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _get(url: str, context: ssl.SSLContext) -> Any:
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname:
        raise ValueError(f"{url} is no https address")
    connection = http.client.HTTPSConnection(parts.hostname, parts.port or 443, timeout=SECONDS, context=context)
    try:
        path = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
        connection.request("GET", path, headers={"User-Agent": "slipway"})
        answer = connection.getresponse()
        if answer.status != OK:
            raise ValueError(f"{url} answers {answer.status}")
        return json.loads(answer.read(MAX_ANSWER))
    finally:
        connection.close()
