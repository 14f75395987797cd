# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keys with certificates that nobody else signed: for servers that tests start, and for authorities of their own."""

from __future__ import annotations

import subprocess
from pathlib import Path

NEW = ("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "9")


def self_signed(key: Path, chain: Path, *names: str, address: str = "") -> None:
    """The first name is its common name too."""
    key.parent.mkdir(parents=True, exist_ok=True)
    alternatives = ",".join([*(f"DNS:{name}" for name in names), *([f"IP:{address}"] if address else [])])
    words = ("-subj", f"/CN={names[0]}", "-addext", f"subjectAltName={alternatives}")
    subprocess.run([*NEW, *words, "-keyout", str(key), "-out", str(chain)], check=True, capture_output=True)
