# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.slipway.vps.plugins.plugin_utils.secret_faults import faults


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"secret_faults": faults}
