# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What --check --diff shows of a release."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from ansible_collections.slipway.vps.plugins.module_utils.release import announcement, fingerprint, record
from ansible_collections.slipway.vps.plugins.module_utils.release.model import Model
from ansible_collections.slipway.vps.plugins.module_utils.release.spec import Command, Spec, Static, parse

KEY = b"k" * 32
NOT_AN_INPUT_LINE = {"stack", "compose"}  # the stack names the diff, the Compose file has one of its own


def told(spec: Spec, model: Model) -> str:
    made = record.make(1, spec, model, {"api": "shop/api@sha256:0"}, "mark", "now", "me", {"0001.sql": "sum"})
    marks = {name: fingerprint.of_secret(value, KEY) for name, value in spec.secrets.items()}
    return announcement.inputs(made, "blue", marks)


def test_of_a_secret_only_a_fingerprint_is_told(spec: Spec, model: Model) -> None:
    text = told(spec, model)
    assert "correct horse" not in text
    assert f"secret POSTGRES_PASSWORD: (fingerprint {fingerprint.of_secret('correct horse', KEY)})" in text
    assert told(replace(spec, secrets={"POSTGRES_PASSWORD": "battery staple"}), model) != text


CHANGES: dict[str, Any] = {
    "domain": "other.test",
    "release": "1.0.1",
    "env": {},
    "secrets": {},
    "routes": (),
    "static": (Static("site", "www.shop.test", "/", "web"),),
    "replicas": {"api": 2},
    "limits": {"api": {"cpus": "1"}},
    "data_services": ("postgres",),
    "exclusive_services": ("dashboard",),
    "migrate": Command("api", ("migrate",)),
    "hooks": {"after_switch": (Command("api", ("warm-up",)),)},
    "files": {"init.sql": "abc"},
    "digests": {"api": "shop/api@sha256:1"},
    "contract": True,
    "log_max_size": "5m",
    "log_max_files": 2,
}


def test_whatever_makes_a_new_release_is_told(spec: Spec, model: Model) -> None:
    """Each field that the fingerprint of a release covers changes the announcement too."""
    assert set(CHANGES) == {entry.name for entry in fields(Spec)} - NOT_AN_INPUT_LINE
    first = told(spec, model)
    assert "image api: shop/api@sha256:0\n" in first and "template 0001.sql: sum\n" in first
    for name, value in CHANGES.items():
        other = replace(spec, **{name: value})
        assert fingerprint.of_release(other, {}, KEY) != fingerprint.of_release(spec, {}, KEY)
        assert told(other, model) != first, name


@pytest.mark.parametrize(
    "change",
    [
        {"sticky": "cookie"},
        {"timeout": 5},
        {"websocket": True},
        {"health": "/up"},
        {"max_body_size": "1m"},
        {"internal_paths": ["/metrics"]},
    ],
)
def test_every_switch_of_a_route_is_told(
    request_: dict[str, Any], spec: Spec, model: Model, change: dict[str, Any]
) -> None:
    request_["routes"][0].update(change)
    assert told(parse(request_), model) != told(spec, model)
