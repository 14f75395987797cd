# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From a module's parameters to a request about one tenant; the texts are in doc fragment `tenant`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..backup import parameters
from ..postgres import options as postgres_options
from . import target

ARGUMENT_SPEC: dict[str, dict[str, Any]] = {
    **parameters.ARGUMENT_SPEC,
    "name": {"type": "str", "required": True},
}
RULES: dict[str, dict[str, Any]] = {
    "application_roles": {"type": "list", "elements": "str"},
    "application_grant": {"type": "str", "choices": ["grants", "membership"]},
    "shared_schemas": {"type": "list", "elements": "str"},
    "schema_prefix": {"type": "str"},
    "role_prefix": {"type": "str"},
}


def request(params: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """What a job is asked with; `names` are the parameters that only this job knows."""
    settings = {name: params[name] for name in RULES if params.get(name) is not None}
    if any(params.get(name) for name in target.SERVER):
        settings |= {name: params[name] for name in postgres_options.ARGUMENT_SPEC if params.get(name) is not None}
    more = {name: params[name] for name in names if params.get(name) is not None}
    return {**parameters.request(params), "name": params["name"], "settings": settings, **more}
