# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which authority role letsencrypt asks, and what its answer is checked against."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

from ansible_collections.slipway.vps.plugins.module_utils.certbot import model

ROLE = Path(__file__).resolve().parents[3] / "roles" / "letsencrypt"


def value(name: str, **given: Any) -> Any:
    variables: dict[str, Any] = {}
    for place in ("defaults", "vars"):
        variables.update(yaml.safe_load((ROLE / place / "main.yml").read_text(encoding="utf-8")))
    trusted = {key: trust_as_template(one) if isinstance(one, str) else one for key, one in variables.items()}
    templar = Templar(loader=DataLoader(), variables={**trusted, **given})
    return templar.template(templar.available_variables[name])


@pytest.mark.parametrize(
    ("given", "directory", "ca_file"),
    [
        ({}, model.LETS_ENCRYPT, ""),
        ({"letsencrypt_staging": True}, model.LETS_ENCRYPT_STAGING, ""),
        ({"letsencrypt_acme_directory": "https://acme.example/dir"}, "https://acme.example/dir", ""),
        (
            {"letsencrypt_acme_directory": "https://acme.example/dir", "letsencrypt_ca_file": "files/root.pem"},
            "https://acme.example/dir",
            "/etc/letsencrypt/slipway-acme-ca.pem",
        ),
    ],
)
def test_the_authority(given: dict[str, Any], directory: str, ca_file: str) -> None:
    assert value("__letsencrypt_directory", **given) == directory
    assert value("__letsencrypt_host_ca_file", **given) == ca_file
    # Limits are kept for the real one only.
    assert bool(model.Settings.from_dict({"server": directory}).limits.any) == (directory == model.LETS_ENCRYPT)
