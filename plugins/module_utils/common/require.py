# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Third-party libraries are loaded where they are used, so that a missing one is a sentence and not a traceback."""

from __future__ import annotations

import importlib
from typing import Any

from .errors import SlipwayError


def load(module: str, package: str) -> Any:
    """Import `module`, or say which Debian package provides it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise SlipwayError(
            f"The Python library {module} is not installed on this host ({error}).",
            hint=f"Install it with: apt-get install {package} (role slipway.vps.agent does so).",
        ) from error
