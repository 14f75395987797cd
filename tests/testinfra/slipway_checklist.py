# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A check list as a playbook has printed it, and as its inventory has it."""

from __future__ import annotations

import re

import yaml
from slipway_lab import ROOT, Play

MOMENTS = ("before", "during", "after")
ROW = re.compile(r"^ +([✓✗]) +(.*?)(?:  +(.*))?$")


def written(system: str) -> dict[str, list[str]]:
    """The lines of the inventory by moment."""
    path = ROOT / "inventories" / system / "production" / "group_vars" / "vps" / "checklist.yml"
    lists = yaml.safe_load(path.read_text(encoding="utf-8"))["stack_checklist"]
    return {moment: [line["text"] for line in lists[moment]] for moment in MOMENTS}


def shown(play: Play) -> dict[str, list[tuple[str, str, str]]]:
    """Tick, line and what was seen, by moment."""
    parts = re.split(r"check list (before|during|after) release", play.output)
    found: dict[str, list[tuple[str, str, str]]] = {}
    for moment, text in zip(parts[1::2], parts[2::2], strict=True):
        rows = [ROW.match(line) for line in text.splitlines()]
        found[moment] = [(row[1], row[2], row[3] or "") for row in rows if row]
    return found
