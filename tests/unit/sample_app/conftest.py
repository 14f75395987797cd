# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The sample application is an image's content, not a package of this collection: it is found where it lies."""

from __future__ import annotations

import sys
from pathlib import Path

from ansible_collections.slipway.vps.tests.unit.postgres_server import database, postgres

sys.path.insert(0, str(Path(__file__).parents[2] / "fixtures" / "sample_app" / "image"))

__all__ = ["database", "postgres"]
