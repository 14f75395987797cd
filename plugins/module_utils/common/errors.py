# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one exception that reaches people: a cause and what to do next."""

from __future__ import annotations

from typing import Any


class SlipwayError(Exception):
    """A failure told in one sentence (`message`) with the next step (`hint`)."""

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        phase: str = "",
        details: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.phase = phase
        self.details = details or {}

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()

    def as_dict(self) -> dict[str, Any]:
        return {
            "message": self.message,
            "hint": self.hint,
            "phase": self.phase,
            "details": self.details,
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> SlipwayError:
        return cls(
            str(data.get("message", "The work failed without a message.")),
            hint=str(data.get("hint", "")),
            phase=str(data.get("phase", "")),
            details=data.get("details") or {},
        )
