# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The names of the kinds of backup, for whoever has to know them without the engine that makes backups."""

from __future__ import annotations

NAMES = ("postgres", "redis", "files", "state", "base")
