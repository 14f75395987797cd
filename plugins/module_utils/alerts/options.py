# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where alarms of a stack go: `/etc/slipway/alerts/<stack>.json` (0600), as an address may be a secret by itself.

The alarms of backups and those of probes have files of their own, since different playbooks write them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from ..common import validate
from ..common.errors import SlipwayError
from ..common.files import read_json

CONFIG_DIRECTORY = Path("/etc/slipway/alerts")
VERSION = 1
GENERIC, SLACK, PAGERDUTY = "generic", "slack", "pagerduty"
TYPES = (GENERIC, SLACK, PAGERDUTY)
PAGERDUTY_URL = "https://events.pagerduty.com/v2/enqueue"
LOOPBACK = ("localhost", "127.0.0.1", "::1")
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
NUMBERS: dict[str, Callable[[Any], float]] = {"timeout": float, "deadline": float, "tries": int}
BACKUP, HEALTH = "backup", "health"
# What writes the file of a topic, for the sentences about it.
WRITERS = {BACKUP: "slipway.vps.site --tags backup", HEALTH: "slipway.vps.health"}
VISIBLE = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True)
class Webhook:
    """One receiver. The path of its address is a secret: nothing here ever shows it."""

    name: str
    type: str = GENERIC
    url: str = field(default="", repr=False)
    routing_key: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    ca_file: str = ""
    # Seconds for one request, and for all tries of one message together.
    timeout: float = 10.0
    deadline: float = 60.0
    tries: int = 5

    @property
    def address(self) -> SplitResult:
        return urlsplit(self.url)

    def describe(self) -> str:
        return f"the webhook {self.name} ({self.type}, {self.address.hostname})"


@dataclass(frozen=True)
class Receivers:
    """All of a stack's webhooks, and after how long they are reminded of what is still wrong."""

    webhooks: tuple[Webhook, ...] = ()
    repeat_hours: float = 24.0


def file_name(stack: str, topic: str = BACKUP, ending: str = "json") -> str:
    """A stack's name has no dot, so no stack can take the file of another's topic."""
    return f"{stack}.{ending}" if topic == BACKUP else f"{stack}.{topic}.{ending}"


def load(stack: str, topic: str = BACKUP) -> Receivers:
    """What is configured for the stack; nothing configured is no error."""
    path = CONFIG_DIRECTORY / file_name(validate.stack_name(stack), topic)
    try:
        return from_dict(read_json(path, {}))
    except (ValueError, TypeError, AttributeError) as error:
        # The value that is wrong stays out of the sentence: it may be the secret.
        raise SlipwayError(
            f"The configuration of alarms {path} cannot be read ({type(error).__name__}).",
            hint=f"Write it again with: ansible-playbook {WRITERS[topic]}",
        ) from None


def from_dict(data: Mapping[str, Any]) -> Receivers:
    if data.get("version", VERSION) != VERSION:
        raise SlipwayError(
            f"The configuration of alarms has version {data.get('version')}, this agent reads {VERSION}.",
            hint="Run: ansible-playbook slipway.vps.site",
        )
    webhooks = tuple(_webhook(one) for one in data.get("webhooks") or [])
    names = [one.name for one in webhooks]
    if len(set(names)) != len(names):
        raise SlipwayError(
            "Two webhooks have one name.",
            hint="Give each entry a name of its own.",
        )
    return Receivers(webhooks, float(data.get("repeat_hours", 24.0)))


def _webhook(data: Mapping[str, Any]) -> Webhook:
    given = {name: value for name, value in data.items() if value not in (None, "")}
    unknown = sorted(set(given) - {one.name for one in fields(Webhook)})
    if unknown:
        raise SlipwayError(f"A webhook has unknown settings: {', '.join(unknown)}.")
    if given.get("type") == PAGERDUTY:
        given.setdefault("url", PAGERDUTY_URL)
    for name, kind in NUMBERS.items():
        if name in given:
            given[name] = kind(given[name])
    hook = Webhook(**{"name": str(given.get("type", GENERIC)), **given})
    _check(hook)
    return hook


def _check(hook: Webhook) -> None:
    if hook.type not in TYPES:
        raise SlipwayError(f"The type of a webhook is one of {', '.join(TYPES)}.")
    if not NAME.fullmatch(hook.name):
        raise SlipwayError("The name of a webhook has lower-case letters, digits, hyphens and underscores.")
    if hook.type == PAGERDUTY and not hook.routing_key:
        raise SlipwayError(
            f"The webhook {hook.name} has no routing_key.", hint="PagerDuty shows it as the integration's key."
        )
    try:
        address = hook.address
        bad = not address.hostname or not VISIBLE.fullmatch(hook.url) or bool(address.username or address.fragment)
        bad = bad or not 0 < (address.port or 443) < 65536
    except ValueError:
        bad = True
    if bad:
        raise SlipwayError(
            f"The address of the webhook {hook.name} is none.", hint="Write it like https://hooks.example.org/path."
        )
    if address.scheme != "https" and not (address.scheme == "http" and address.hostname in LOOPBACK):
        raise SlipwayError(
            f"The webhook {hook.name} is not https: whoever is on the way could read its secret.",
            hint="Use an https address; http is for a receiver on this host only.",
        )
    if hook.ca_file and not Path(hook.ca_file).is_file():
        raise SlipwayError(f"The CA file {hook.ca_file} of the webhook {hook.name} does not exist on this host.")
    if not (0 < hook.timeout <= hook.deadline <= 300 and 1 <= hook.tries <= 20):
        raise SlipwayError(f"The webhook {hook.name}: 0 < timeout <= deadline <= 300, and 1 to 20 tries.")
