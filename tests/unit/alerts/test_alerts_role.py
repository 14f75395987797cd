# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role's own condition on a webhook, evaluated as ansible-core does it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

ROOT = Path(__file__).resolve().parents[3]


def condition() -> str:
    tasks = yaml.safe_load((ROOT / "roles/backup/tasks/preflight.yml").read_text())
    task = next(task for task in tasks if task["name"] == "Preflight | Refuse a webhook that leads nowhere")
    return str(task["ansible.builtin.assert"]["that"])


@pytest.mark.parametrize(
    ("webhook", "accepted"),
    [
        ({"url": "https://chat.example.com/hook"}, True),
        ({"url": "http://chat.example.com/hook", "type": "slack"}, True),
        ({"type": "pagerduty", "routing_key": "abc"}, True),
        ({"type": "pagerduty", "routing_key": ""}, False),
        ({"type": "pagerduty"}, False),
        ({"url": "ftp://chat.example.com"}, False),
        ({}, False),
    ],
)
def test_a_webhook_is_taken_or_refused(webhook: dict[str, Any], accepted: bool) -> None:
    templar = Templar(loader=DataLoader(), variables={"item": webhook})
    assert templar.evaluate_conditional(trust_as_template(condition())) is accepted
