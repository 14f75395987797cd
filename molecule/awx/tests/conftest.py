# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Here playbooks are jobs of AWX, those of the tests that came before AWX too."""

from slipway_awx import awx, server

__all__ = ["awx", "server"]
