# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plain text for people: a title, tables with aligned columns, and lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

GAP = "  "


def render(title: str, tables: Sequence[dict[str, Any]], lines: Sequence[str]) -> str:
    blocks = [f"{title}\n{'=' * len(title)}"]
    blocks += [table(entry.get("title", ""), entry["columns"], entry["rows"]) for entry in tables]
    if lines:
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks) + "\n"


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    cells = [[str(cell) for cell in row] for row in [columns, *rows]]
    widths = [max(len(row[index]) for row in cells) for index in range(len(columns))]
    text = [GAP.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    text.insert(1, GAP.join("-" * width for width in widths))
    return "\n".join(([title] if title else []) + [f"  {row}" for row in text])
