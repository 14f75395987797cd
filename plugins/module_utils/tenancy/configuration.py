# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What role `tenants` left on this host: where each stack's database is and, with sign-ups, how tenants are made."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..common.errors import SlipwayError
from ..common.files import read_json, write_atomic

DIRECTORY = Path("/etc/slipway/tenants")


def stacks(only: str | None = None) -> dict[str, dict[str, Any]]:
    """The stacks with tenants, by name."""
    known = {path.stem: read_json(path) for path in sorted(DIRECTORY.glob("*.json"))}
    if only is not None and only not in known:
        raise SlipwayError(
            f"No tenants of a stack {only} are on record on this host.",
            hint="Run playbooks/tenants.yml for it first." if not known else f"Known are: {', '.join(known)}.",
        )
    return {stack: connection for stack, connection in known.items() if only in (None, stack)}


def remember_templates(stack: str, request: Mapping[str, Any]) -> None:
    """After a release brought new SQL templates, those who sign up from now on need them as well."""
    path = DIRECTORY / f"{stack}.json"
    config = read_json(path)
    if config and config.get("source") == "registry":
        updated = {**config, "templates": request.get("templates") or []}
        # written as the role writes it, so that its next run finds nothing to change
        write_atomic(path, json.dumps(updated, indent=4, sort_keys=True) + "\n", 0o600)
