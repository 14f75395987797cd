# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.slipway.vps.plugins.module_utils.host.preflight import is_placeholder


def placeholders(secrets: Mapping[str, Any]) -> list[str]:
    """The names of those that still have the value of an example; no value is handed on."""
    return sorted(str(name) for name, value in secrets.items() if is_placeholder(str(value)))


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"placeholders": placeholders}
