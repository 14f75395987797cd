# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From a module's parameters to a backup's configuration; the texts are in doc fragment `backup`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..postgres import options as postgres_options
from ..s3 import options as s3_options
from . import spec
from .spec import Spec

ARGUMENT_SPEC: dict[str, dict[str, Any]] = {
    **postgres_options.ARGUMENT_SPEC,
    **s3_options.ARGUMENT_SPEC,
    "stack": {"type": "str", "required": True},
    "local_directory": {"type": "path"},
    "age_recipients": {"type": "list", "elements": "str", "default": []},
    "age_identity_file": {"type": "path"},
    "client_directory": {"type": "path"},
    "lock_wait": {"type": "float", "default": 600.0},
}
# What is backed up beside the database; its configuration is always the installed one.
KIND_SPEC: dict[str, dict[str, Any]] = {
    "stack": {"type": "str", "required": True},
    "kind": {"type": "str", "choices": ["redis", "files", "state"], "required": True},
}


def request(params: Mapping[str, Any]) -> dict[str, Any]:
    """What a job is asked with: the stack whose configuration is installed, or the whole configuration."""
    if not params.get("s3_bucket") and not params.get("local_directory"):
        return {"stack": params["stack"]}
    s3 = {
        name.removeprefix("s3_"): params[name]
        for name in s3_options.ARGUMENT_SPEC
        if params.get(name) is not None and params.get("s3_bucket")
    }
    given = {
        "stack": params["stack"],
        "database": {name: params.get(name) for name in postgres_options.ARGUMENT_SPEC},
        "s3": s3,
        "local_directory": params.get("local_directory"),
        "encryption": {
            "recipients": params.get("age_recipients"),
            "identity_file": params.get("age_identity_file"),
        },
        "compression": {"level": params.get("compression_level") or 3},
        "keep": {
            "s3": {"days": params.get("keep_s3_days", 0)},
            "local": {"days": params.get("keep_local_days", 0)},
        },
        "row_counts": params.get("row_counts", True),
        "client_directory": params.get("client_directory"),
        "lock_wait": params.get("lock_wait"),
    }
    return {"stack": params["stack"], "spec": given}


def specification(asked: Mapping[str, Any]) -> Spec:
    """The configuration that a request means."""
    kind = str(asked.get("kind") or "postgres")
    return spec.from_dict(asked["spec"], kind) if asked.get("spec") else spec.load(str(asked.get("stack", "")), kind)
