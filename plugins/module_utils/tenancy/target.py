# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which database a tenant is in and where its exports lie: as installed on the host, or as one request says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..backup import parameters
from ..backup.retention import Policy
from ..backup.spec import Spec
from ..common import validate
from ..common.errors import SlipwayError
from ..common.files import read_json
from ..postgres.options import PostgresOptions
from . import configuration

# Which tenants a run of the whole works on, and in which order; a verb for one tenant has its own.
OF_RUNS = ("source", "canary", "tenants", "templates", "hosts")
KIND = "tenant"


def settings(request: Mapping[str, Any]) -> dict[str, Any]:
    """The connection and the rules for tenants, in the shape of module postgres_tenant's parameters."""
    stack = validate.stack_name(str(request.get("stack") or ""))
    given = {name: value for name, value in (request.get("settings") or {}).items() if value is not None}
    if given.get("login_host") or given.get("login_container") or given.get("login_unix_socket"):
        return given
    path = configuration.DIRECTORY / f"{stack}.json"
    installed = read_json(path)
    if installed is None:
        raise SlipwayError(
            f"Nothing on this host says how the tenants of stack {stack} are reached ({path} is missing).",
            hint="Run playbooks/tenants.yml for it first, or give login_host or login_container.",
        )
    return {**given, **{name: value for name, value in installed.items() if name not in OF_RUNS}}


def specification(request: Mapping[str, Any], slug: str) -> Spec:
    """Where the exports of a tenant lie. They stay until somebody removes them."""
    asked = {"stack": request["stack"], **({"spec": request["spec"]} if request.get("spec") else {})}
    return replace(
        parameters.specification(asked),
        kind=KIND,
        of=validate.slug(slug),
        settings={},
        postgres=PostgresOptions.from_params(settings(request)),
        keep_s3=Policy(),
        keep_local=Policy(),
    )
