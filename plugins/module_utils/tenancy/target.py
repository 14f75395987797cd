# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which database a tenant is in and where its exports lie: as installed on the host, or as one request says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..backup import parameters
from ..backup import spec as backup_spec
from ..backup.retention import Policy
from ..backup.spec import Spec
from ..common import validate
from ..common.errors import SlipwayError
from ..common.files import read_json
from ..postgres.options import PostgresOptions
from . import configuration

# Which tenants a run of the whole works on, and in which order; a verb for one tenant has its own.
OF_RUNS = ("source", "canary", "tenants", "templates", "hosts", "pooler")
KIND = "tenant"
# One of these says where the server is; without any of them the installed connection is meant.
SERVER = ("login_host", "login_container", "login_unix_socket")


def settings(request: Mapping[str, Any]) -> dict[str, Any]:
    """The connection and the rules for tenants, in the shape of module postgres_tenant's parameters."""
    stack = validate.stack_name(str(request.get("stack") or ""))
    given = {name: value for name, value in (request.get("settings") or {}).items() if value is not None}
    if any(given.get(name) for name in SERVER):
        return given
    path = configuration.DIRECTORY / f"{stack}.json"
    installed = read_json(path)
    if installed is None:
        raise SlipwayError(
            f"Nothing on this host says how the tenants of stack {stack} are reached ({path} is missing).",
            hint="Run playbooks/tenants.yml for it first, or give login_host or login_container.",
        )
    return {**{name: value for name, value in installed.items() if name not in OF_RUNS}, **given}


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


def in_directory(stack: str, directory: str, recipients: Sequence[str] = ()) -> dict[str, Any]:
    """A directory on this host as the only destination, encrypted as the stack's backups are unless told for whom."""
    installed = read_json(backup_spec.CONFIG_DIRECTORY / f"{validate.stack_name(stack)}.json", {})
    encryption = dict(installed.get("encryption") or {})
    if recipients:
        encryption["recipients"] = list(recipients)
    return {
        **installed,
        "stack": stack,
        "database": installed.get("database") or {"login_db": "postgres"},
        "s3": None,
        "local_directory": str(Path(directory).absolute()),
        "encryption": encryption,
    }
