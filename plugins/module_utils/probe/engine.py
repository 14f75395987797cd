# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The way in for modules, commands and releases: mappings in, a report out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..common.errors import SlipwayError
from .registry import TYPES
from .result import Report
from .runner import DEFAULT_CONCURRENCY, Bounds
from .runner import run as run_probes
from .spec import DEFAULT_CONNECT_TIMEOUT, DEFAULT_TIMEOUT, parse_all


@dataclass(frozen=True)
class Request:
    probes: Sequence[Mapping[str, Any]]
    concurrency: int = DEFAULT_CONCURRENCY
    timeout: float = DEFAULT_TIMEOUT
    connect_timeout: float = DEFAULT_CONNECT_TIMEOUT
    deadline: float | None = None
    secrets: Sequence[str] = ()


FIELDS = tuple(Request.__dataclass_fields__)


def check(request: Request) -> Report:
    """Check the probes completely, then run them all."""
    if request.concurrency < 1:
        raise SlipwayError("concurrency must be at least 1.")
    if request.deadline is not None and request.deadline <= 0:
        raise SlipwayError("deadline must be more than 0 seconds.", hint="Leave it out for no deadline.")
    defaults = {"timeout": request.timeout, "connect_timeout": request.connect_timeout, "secrets": request.secrets}
    probes = parse_all(request.probes, TYPES, defaults)
    return run_probes(probes, TYPES, Bounds(request.concurrency, request.deadline))
