# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an alarm is, and how each kind of receiver wants to be told."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from .options import PAGERDUTY, SLACK, Webhook

CRITICAL, WARNING = "critical", "warning"
FIRING, RESOLVED = "firing", "resolved"
COLOURS = {CRITICAL: "#c9252d", WARNING: "#e8a317", RESOLVED: "#2e8540"}
# What PagerDuty and Slack take at most.
SUMMARY_CHARACTERS = 1024
TEXT_CHARACTERS = 3000


@dataclass(frozen=True)
class Alarm:
    """One thing that is wrong now. `key` names it, so that it is the same alarm tomorrow."""

    key: str
    summary: str
    hint: str = ""
    severity: str = CRITICAL


@dataclass(frozen=True)
class Message:
    """An alarm that began, goes on (`reminder`) or is over, as it is told."""

    status: str
    alarm: Alarm
    stack: str
    host: str
    since: str
    time: str
    reminder: bool = False

    @property
    def dedup_key(self) -> str:
        return f"slipway/{self.host}/{self.stack}/{self.alarm.key}"[:255]

    def headline(self) -> str:
        if self.status == RESOLVED:
            return f"{self.stack} on {self.host}: good again: {self.alarm.summary}"
        still = "still: " if self.reminder else ""
        return f"{self.stack} on {self.host}: {still}{self.alarm.summary}"


def body(hook: Webhook, message: Message) -> dict[str, Any]:
    if hook.type == SLACK:
        return slack(message)
    return pagerduty(message, hook.routing_key) if hook.type == PAGERDUTY else generic(message)


def generic(message: Message) -> dict[str, Any]:
    return {
        "version": 1,
        "status": message.status,
        "reminder": message.reminder,
        "stack": message.stack,
        "host": message.host,
        **asdict(message.alarm),
        "text": message.headline(),
        "since": message.since,
        "time": message.time,
        "dedup_key": message.dedup_key,
    }


def slack(message: Message) -> dict[str, Any]:
    """An incoming webhook, which other chat servers take as well. Without markup, as the texts come from elsewhere."""
    alarm = message.alarm
    colour = COLOURS[RESOLVED if message.status == RESOLVED else alarm.severity]
    told = [{"title": "Since", "value": message.since, "short": True}]
    if alarm.hint and message.status == FIRING:
        told.append({"title": "What to do", "value": _escaped(alarm.hint, TEXT_CHARACTERS), "short": False})
    headline = _escaped(message.headline(), TEXT_CHARACTERS)
    return {"text": headline, "attachments": [{"color": colour, "fallback": headline, "fields": told}]}


def _escaped(text: str, characters: int) -> str:
    return text[:characters].replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def pagerduty(message: Message, routing_key: str) -> dict[str, Any]:
    """Events API v2. A reminder is a trigger with the same key: it opens no second incident."""
    event = {"routing_key": routing_key, "dedup_key": message.dedup_key}
    if message.status == RESOLVED:
        return {**event, "event_action": "resolve"}
    return {
        **event,
        "event_action": "trigger",
        "client": "Slipway",
        "payload": {
            "summary": message.headline()[:SUMMARY_CHARACTERS],
            "source": message.host,
            "severity": message.alarm.severity,
            "timestamp": message.time,
            "component": message.stack,
            "class": message.alarm.key,
            "custom_details": {"what_to_do": message.alarm.hint, "since": message.since},
        },
    }
