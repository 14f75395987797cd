# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads what certbot 4.0.0 wrote, with a real certificate."""

from __future__ import annotations

import subprocess
from datetime import datetime, timedelta, timezone
from pathlib import Path

from ansible_collections.slipway.vps.plugins.module_utils.certbot import lineage

RENEWAL = """\
# renew_before_expiry = 30 days
version = 4.0.0
archive_dir = /etc/letsencrypt/archive/shop.test
cert = /etc/letsencrypt/live/shop.test/cert.pem

# Options used in the renewal process
[renewalparams]
account = 77b962e161992bf9d4c8f4a1b52e9b06
key_type = ecdsa
elliptic_curve = secp256r1
server = https://acme.test/dir?a=b
authenticator = webroot
webroot_path = /var/www/letsencrypt,
[[webroot_map]]
api.shop.test = /var/www/letsencrypt
"""


def certificate(directory: Path, *names: str) -> None:
    directory.mkdir(parents=True)
    subprocess.run(
        [
            *(
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-days",
                "9",
            ),
            *("-subj", f"/CN={names[0]}", "-addext", f"subjectAltName={','.join(f'DNS:{name}' for name in names)}"),
            *("-keyout", str(directory / "privkey.pem"), "-out", str(directory / "fullchain.pem")),
        ],
        check=True,
        capture_output=True,
    )


def test_renewal_settings() -> None:
    settings = lineage.parse_renewal(RENEWAL)
    assert settings["server"] == "https://acme.test/dir?a=b"
    assert settings["webroot_path"] == "/var/www/letsencrypt"
    assert "renew_before_expiry" not in settings


def test_a_lineage_is_read_from_disk(tmp_path: Path) -> None:
    certificate(tmp_path / "live" / "shop", "shop.test", "API.shop.test")
    (tmp_path / "renewal").mkdir()
    (tmp_path / "renewal" / "shop.conf").write_text(RENEWAL)
    found = lineage.read(str(tmp_path), "shop")
    assert found is not None
    assert found.domains == {"shop.test", "api.shop.test"}
    assert found.authenticator == "webroot"
    assert found.parameters["webroot_path"] == "/var/www/letsencrypt"
    left = found.not_after - datetime.now(timezone.utc)
    assert timedelta(days=8, hours=23) < left <= timedelta(days=9)


def test_a_certificate_that_cannot_be_renewed_does_not_count(tmp_path: Path) -> None:
    certificate(tmp_path / "live" / "shop", "shop.test")
    assert lineage.read(str(tmp_path), "shop") is None
