# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.slipway.vps.plugins.module_utils.release.model import Model
from ansible_collections.slipway.vps.plugins.module_utils.release.spec import Spec, parse

RECORDED = Path(__file__).parent / "recorded"

REQUEST: dict[str, Any] = {
    "stack": "shop",
    "domain": "shop.test",
    "compose": "services: {}",
    "release": "1.0.0",
    "env": {"LOG_LEVEL": "info"},
    "secrets": {"POSTGRES_PASSWORD": "correct horse"},
    "data_services": ["postgres", "redis"],
    "routes": [
        {"name": "web", "service": "web", "port": 3000, "health": "/health"},
        {"name": "api", "host": "api.shop.test", "service": "api", "port": 8080, "health": "/ready", "websocket": True},
        {"name": "tenants", "host": "tenants", "service": "api", "port": 8080, "health": "/ready"},
    ],
}


@pytest.fixture
def request_() -> dict[str, Any]:
    return json.loads(json.dumps(REQUEST))  # a copy to be changed freely


@pytest.fixture
def spec(request_: dict[str, Any]) -> Spec:
    return parse(request_)


@pytest.fixture
def model() -> Model:
    """What Docker Compose 2.26.1 made of the sample application's file."""
    return Model(json.loads((RECORDED / "compose_config_2.26.1.json").read_text(encoding="utf-8")))


@pytest.fixture
def changed(model: Model) -> Callable[..., Model]:
    """The recorded model with keys of one service set."""

    def change(service: str, **keys: Any) -> Model:
        data = json.loads(json.dumps(model.data))
        data["services"][service].update(keys)
        return Model(data)

    return change
