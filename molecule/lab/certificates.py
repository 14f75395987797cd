# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's own certificate authority and the servers' certificates."""

from __future__ import annotations

from pathlib import Path

from settings import SERVICE_NAMES, STATE
from shell import run, say

CA = STATE / "ca.pem"
_CA_KEY = STATE / "ca.key"
_MONTH = str(30 * 24 * 3600)


def directory(service: str) -> Path:
    return STATE / "tls" / service


def _good(certificate: Path) -> bool:
    if not certificate.exists():
        return False
    return run(["openssl", "x509", "-in", str(certificate), "-noout", "-checkend", _MONTH], check=False).returncode == 0


def _new_key(path: Path) -> None:
    run(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", str(path)])
    path.chmod(0o600)


def _make_ca() -> None:
    _new_key(_CA_KEY)
    run(
        ["openssl", "req", "-x509", "-new", "-key", str(_CA_KEY), "-sha256", "-days", "3650", "-out", str(CA)]
        + ["-subj", "/CN=Slipway lab CA", "-addext", "basicConstraints=critical,CA:TRUE"]
        + ["-addext", "keyUsage=critical,keyCertSign,cRLSign"]
    )


def _make_server(service: str, address: str) -> None:
    folder = directory(service)
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{service}.lab.test"
    extensions = folder / "extensions.cnf"
    extensions.write_text(
        f"subjectAltName=DNS:{name},IP:{address},IP:127.0.0.1\n"
        "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth\n",
        encoding="utf-8",
    )
    _new_key(folder / "key.pem")
    run(
        [
            "openssl",
            "req",
            "-new",
            "-key",
            str(folder / "key.pem"),
            "-subj",
            f"/CN={name}",
            "-out",
            str(folder / "csr.pem"),
        ]
    )
    run(
        ["openssl", "x509", "-req", "-in", str(folder / "csr.pem"), "-CA", str(CA), "-CAkey", str(_CA_KEY)]
        + ["-CAcreateserial", "-sha256", "-days", "800", "-extfile", str(extensions), "-out", str(folder / "cert.pem")]
    )


def ensure() -> None:
    STATE.mkdir(parents=True, exist_ok=True)
    renewed = not _good(CA)
    if renewed:
        say("Making the lab's certificate authority")
        _make_ca()
    for service, address in SERVICE_NAMES.items():
        if renewed or not _good(directory(service) / "cert.pem"):
            _make_server(service, address)
