# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The figures of one measurement, and the file that keeps them."""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
RESULTS = ROOT / ".cache" / "bench"


@dataclass
class Result:
    """`figures` has one value a repetition; the values of one repetition were measured one after the other."""

    name: str
    figures: dict[str, list[float]] = field(default_factory=dict)
    ratios: dict[str, float] = field(default_factory=dict)
    machine: dict[str, Any] = field(default_factory=dict)
    repetitions: int = 0

    def add(self, figure: str, value: float) -> None:
        self.figures.setdefault(figure, []).append(round(value, 3))

    def compare(self, one: str, other: str, figure: str, called: str = "") -> None:
        """The ratio `one/other.figure`: the median of the pairs, so that a slow minute weighs on both."""
        self.ratios[f"{one}/{other}.{called or figure}"] = ratio(
            self.figures[f"{one}.{figure}"], self.figures[f"{other}.{figure}"]
        )

    def write(self) -> Path:
        RESULTS.mkdir(parents=True, exist_ok=True)
        self.machine = self.machine or this_machine()
        self.repetitions = max(len(values) for values in self.figures.values())
        path = RESULTS / f"{self.name}.json"
        path.write_text(json.dumps(self.as_dict(), indent=2) + "\n", encoding="utf-8")
        return path

    def as_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "machine": self.machine,
            "repetitions": self.repetitions,
            "figures": self.figures,
            "ratios": self.ratios,
        }

    @classmethod
    def read(cls, path: Path) -> Result:
        return cls(**json.loads(path.read_text(encoding="utf-8")))

    def rows(self) -> list[list[str]]:
        """Figure, median, least, most, number of values; then the ratios."""
        rows = [
            [
                name,
                *(number(value) for value in (statistics.median(values), min(values), max(values))),
                str(len(values)),
            ]
            for name, values in self.figures.items()
        ]
        return rows + [
            [name, number(value), "", "", ""] for name, value in self.ratios.items() if name not in self.figures
        ]

    def __str__(self) -> str:
        rows = [["", "median", "least", "most", "values"], *self.rows()]
        widths = [max(len(row[column]) for row in rows) for column in range(5)]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
        )


def ratio(one: Sequence[float], other: Sequence[float]) -> float:
    pairs = [a / b for a, b in zip(one, other, strict=True) if b]
    if not pairs:
        raise ValueError("nothing to divide by")
    return round(statistics.median(pairs), 3)


def number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 or value == int(value) else f"{value:.3g}"


def this_machine() -> dict[str, Any]:
    """What the figures depend on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cores": os.cpu_count(),
        "memory_gb": round(memory / 1e9, 1),
        "system": f"{platform.system()} {platform.release().split('-')[0]} {platform.machine()}",
    }
