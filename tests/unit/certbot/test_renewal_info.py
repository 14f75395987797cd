# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""RFC 9773. That an authority's wish is followed is shown with a real one in scenario releases."""

from __future__ import annotations

import base64
import subprocess
import time
from datetime import datetime, timezone
from pathlib import Path

import pytest

from ansible_collections.slipway.vps.plugins.module_utils.certbot import renewal_info
from ansible_collections.slipway.vps.tests.unit.self_signed import self_signed

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=timezone.utc)


def window(start: str, end: str, **more: str) -> dict[str, object]:
    return {"suggestedWindow": {"start": start, "end": end}, **more}


def signed(directory: Path, serial: str) -> Path:
    """A certificate with that serial number from an authority of its own."""
    key, chain, request, made = (directory / name for name in ("ca.key", "ca.pem", "request.pem", "made.pem"))
    self_signed(key, chain, "ca.test")
    for argv in (
        ["req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=shop.test"]
        + ["-keyout", str(directory / "key.pem"), "-out", str(request)],
        ["x509", "-req", "-in", str(request), "-CA", str(chain), "-CAkey", str(key), "-set_serial", serial]
        + ["-extfile", str(directory / "extensions"), "-out", str(made)],
    ):
        (directory / "extensions").write_text("authorityKeyIdentifier = keyid\n")
        subprocess.run(["openssl", *argv], check=True, capture_output=True)
    return made


@pytest.mark.parametrize(
    ("serial", "told"),
    # The second is the one of the RFC's own example: a first bit that is set needs a zero before it.
    [("0x05", b"\x05"), ("0x8765432100", b"\x00\x87\x65\x43\x21\x00"), ("0x0fff", b"\x0f\xff")],
)
def test_a_certificate_is_called_by_its_issuers_key_and_its_number(tmp_path: Path, serial: str, told: bytes) -> None:
    issuer, number = renewal_info.identity(signed(tmp_path, serial)).split(".")
    assert base64.urlsafe_b64decode(number + "=" * (-len(number) % 4)) == told
    listed = subprocess.run(
        ["openssl", "x509", "-in", str(tmp_path / "ca.pem"), "-noout", "-ext", "subjectKeyIdentifier"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    key = base64.urlsafe_b64decode(issuer + "=" * (-len(issuer) % 4))
    assert key.hex(":").upper() in listed


def test_only_a_window_that_is_over_is_a_wish() -> None:
    assert renewal_info.told(window("2027-01-01T00:00:00Z", "2027-01-02T00:00:00Z"), NOW) == ""
    assert renewal_info.told(window("2026-11-22T00:00:00Z", "2026-11-23T00:00:00.123456789Z"), NOW) == ""
    wish = renewal_info.told(
        window("2026-11-22T10:00:00Z", "2026-11-22T10:30:00Z", explanationURL="https://a.test/"), NOW
    )
    assert wish == "the authority wants it replaced at once, see https://a.test/"


def test_an_authority_that_is_away_or_does_not_know_the_question_has_no_wish(tmp_path: Path) -> None:
    path = signed(tmp_path, "0x05")
    for url in ("https://127.0.0.1:9/directory", "http://127.0.0.1/directory", ""):
        started = time.monotonic()
        assert renewal_info.wishes(url, "", {"shop": path}) == {}
        assert time.monotonic() - started < 2
