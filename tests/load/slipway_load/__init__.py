# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Visitors of a stack who notice everything: a steady stream of requests and WebSockets in a process of its own."""

from .load import Load, LoadError
from .report import Report
from .settings import Settings

__all__ = ["Load", "LoadError", "Report", "Settings"]
