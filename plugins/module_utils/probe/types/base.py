# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a probe type is: its name, its options, and one question that it can ask."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from ..context import Context
from ..option import Option
from ..result import Outcome
from ..spec import Probe


class ProbeType(ABC):
    """Subclasses answer with an Outcome or raise: OSError and SlipwayError become a failure with a sentence."""

    name: ClassVar[str]
    summary: ClassVar[str]
    target: ClassVar[str]
    target_required: ClassVar[bool] = True
    options: ClassVar[dict[str, Option]] = {}

    def __init__(self, probe: Probe) -> None:
        self.probe = probe

    def option(self, name: str) -> Any:
        return self.probe.options[name]

    def check(self) -> None:
        """Raise SlipwayError when the options make no sense together."""
        return

    def shown_target(self) -> str:
        """The target as reports may show it."""
        return self.probe.target

    @abstractmethod
    def run(self, context: Context) -> Outcome:
        """Ask once. `context` knows how long."""
