# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a probe type is: its name, its options, and one question that it can ask."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from typing import Any, ClassVar

from ...common.errors import SlipwayError
from ..context import Context
from ..option import Option
from ..redact import redact
from ..result import Outcome
from ..spec import Probe

EXCERPT = 200


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

    @classmethod
    def derived_secrets(cls, options: dict[str, Any]) -> set[str]:
        """What is made from secret options and is as secret as they are."""
        return set()

    def shown_target(self) -> str:
        """The target as reports may show it."""
        return self.probe.target

    def expected(self) -> str:
        """In a few words, what a good answer is."""
        return self.summary.rstrip(".")

    def excerpt(self, text: str) -> str:
        """The beginning of what was seen. Secrets are masked before it is cut, or half a secret would be left."""
        return str(redact(text, self.probe.secrets))[:EXCERPT]

    @abstractmethod
    def run(self, context: Context) -> Outcome:
        """Ask once. `context` knows how long."""


def pattern_of(text: str) -> re.Pattern[str]:
    """A regular expression of the user's, or a sentence about what is wrong with it."""
    try:
        return re.compile(str(text))
    except re.error as error:
        raise SlipwayError(f"{text!r} is not a regular expression: {error}.") from error
