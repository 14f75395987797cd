# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The restore of each kind that is not a database."""

from __future__ import annotations

from typing import Any

from ..common.errors import SlipwayError
from ..common.events import Emitter
from . import restore_files, restore_redis
from .restoration import Request
from .spec import Spec

KINDS: dict[str, Any] = {"redis": restore_redis, "files": restore_files, "state": restore_files}


def _restorer(spec: Spec) -> Any:
    if spec.kind not in KINDS:
        raise SlipwayError(
            f"A backup of kind {spec.kind} is not restored by this command.",
            hint=f"It restores {', '.join(KINDS)}; docs/restore.md names the command for every kind.",
        )
    return KINDS[spec.kind]


def plan(spec: Spec, request: Request) -> dict[str, Any]:
    """What a restore would do, for check mode."""
    found: dict[str, Any] = _restorer(spec).plan(spec, request)
    return found


def run(spec: Spec, request: Request, emitter: Emitter) -> dict[str, Any]:
    done: dict[str, Any] = _restorer(spec).run(spec, request, emitter)
    return done


def contents(spec: Spec, identity: str) -> str:
    if KINDS.get(spec.kind) is not restore_files:
        raise SlipwayError(
            f"A backup of kind {spec.kind} has no list of names.", hint="Give --kind files or --kind state."
        )
    return restore_files.contents(spec, identity)
