# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who is told what, how often, and in which shape."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.slipway.vps.plugins.module_utils.alerts import ledger
from ansible_collections.slipway.vps.plugins.module_utils.alerts.ledger import Ledger, Told, plan
from ansible_collections.slipway.vps.plugins.module_utils.alerts.message import (
    FIRING,
    RESOLVED,
    WARNING,
    Alarm,
    Message,
    body,
)
from ansible_collections.slipway.vps.plugins.module_utils.alerts.options import Receivers, Webhook, from_dict
from ansible_collections.slipway.vps.plugins.module_utils.alerts.sender import send

NOW = datetime(2026, 3, 2, 12, tzinfo=timezone.utc)
FAILED = Alarm("backup.postgres", "The backup <failed> & more.", "journalctl -u it")
LATE = Alarm("age.redis", "It is late.", "look", WARNING)


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    monkeypatch.setattr(ledger, "STATE_DIRECTORY", tmp_path / "alerts")


def quick(hook, content):
    return send(hook, content, lambda _seconds: None)


def tell(receivers, alarms, hours=0.0, **more):
    """In a process of its own each time, as on a host."""
    return Ledger("shop", "vps1").tell(receivers, alarms, NOW + timedelta(hours=hours), sender=quick, **more)


def heard(server):
    said = [(one["status"], one["key"], one["reminder"]) for one in server.received]
    server.received.clear()
    return said


def test_once_when_it_begins_once_when_it_is_over_and_a_reminder_between(serve):
    server = serve()
    receivers = Receivers((server.webhook(),), 24)
    assert tell(receivers, [FAILED]) == []
    assert heard(server) == [("firing", FAILED.key, False)]
    tell(receivers, [Alarm(FAILED.key, "It failed again, with other words.")], 1)
    tell(receivers, [FAILED, LATE], 23.9)
    assert heard(server) == [("firing", LATE.key, False)]
    tell(receivers, [FAILED, LATE], 24)
    assert heard(server) == [("firing", FAILED.key, True)]
    tell(receivers, [FAILED, LATE], 25)
    assert heard(server) == []
    tell(receivers, [LATE], 26)
    tell(receivers, [LATE], 26.1)
    [over] = server.received
    assert (over["status"], over["key"], over["since"]) == ("resolved", FAILED.key, "2026-03-02T12:00:00Z")


def test_a_receiver_that_was_away_is_told_later_and_the_others_once(serve):
    good, bad = serve(), serve(tls=False)
    receivers = Receivers((bad.webhook(name="bad", tries=1), good.webhook(name="good")))
    bad.script = [500]
    [problem] = tell(receivers, [FAILED, LATE])
    assert "HTTP 500" in problem and "webhook bad" in problem and len(bad.heads) == 1
    assert len(heard(good)) == 2
    assert tell(receivers, [FAILED, LATE], 0.1) == []
    assert len(heard(bad)) == 2 and heard(good) == []
    # What a receiver never heard of need not be called off.
    bad.script = [500]
    tell(receivers, [FAILED, LATE, Alarm("new", "New.")], 0.2)
    tell(receivers, [FAILED, LATE], 0.3)
    assert heard(bad) == [] and [key for _status, key, _reminder in heard(good)] == ["new", "new"]


def test_a_message_that_is_refused_holds_no_other_up(serve):
    server = serve()
    server.script = [400]
    [problem] = tell(Receivers((server.webhook(),)), [FAILED, LATE])
    assert "HTTP 400" in problem
    assert [key for _status, key, _reminder in heard(server)] == [LATE.key]


def test_whoever_is_blind_calls_nothing_off(serve):
    server = serve()
    receivers = Receivers((server.webhook(),))
    tell(receivers, [FAILED])
    tell(receivers, [Alarm("check", "Cannot look.")], 1, blind=True)
    tell(receivers, [], 2)
    assert [(status, key) for status, key, _summary in heard(server)] == [
        ("firing", FAILED.key),
        ("firing", "check"),
        ("resolved", FAILED.key),
        ("resolved", "check"),
    ]


def test_the_account_holds_no_secret_and_a_damaged_one_is_begun_again(serve):
    server = serve()
    receivers = Receivers((server.webhook(),))
    tell(receivers, [FAILED])
    path = ledger.STATE_DIRECTORY / "shop.json"
    assert "SECRET" not in path.read_text() and path.stat().st_mode & 0o777 == 0o600
    for damage in ("", "[]", '{"generic": 3}', '{"generic": {"x": {"alarm": {}}}}'):
        path.write_text(damage)
        tell(receivers, [FAILED])
    assert heard(server) == [("firing", FAILED.key, False)] * 5


KEYS = st.sampled_from("abcd")
STEPS = st.lists(st.tuples(st.frozensets(KEYS), st.integers(1, 40), st.booleans()), max_size=12)


@given(STEPS)
def test_every_state_is_told_once_whatever_happens(steps):
    """A receiver that believes what it was told always knows what is wrong, as soon as it can be reached."""
    known, believed, now = {}, set(), NOW
    for keys, hours, reachable in steps:
        now += timedelta(hours=hours)
        firing, over = plan(known, [Alarm(key, key) for key in sorted(keys)], now, 24)
        if not reachable:
            continue
        for one, reminder in firing:
            assert (one.alarm.key in believed) is reminder
            believed.add(one.alarm.key)
            known[one.alarm.key] = one
        for one in over:
            believed.remove(one.alarm.key)
            del known[one.alarm.key]
        assert believed == keys


def test_an_alarm_that_becomes_worse_is_told_at_once():
    known = {LATE.key: Told(LATE, "2026-03-02T11:00:00Z", "2026-03-02T11:00:00Z")}
    [(one, reminder)], over = plan(known, [Alarm(LATE.key, "Now it is bad.")], NOW, 24)
    assert (one.since, reminder, over) == ("2026-03-02T11:00:00Z", False, [])


def message(status=FIRING, alarm=FAILED, **more):
    return Message(status, alarm, "shop", "vps1", "2026-03-02T11:00:00Z", "2026-03-02T12:00:00Z", **more)


def test_the_shape_that_slack_takes():
    said = body(Webhook("chat", "slack", "https://chat.example.org/x"), message())
    assert said["text"] == "shop on vps1: The backup &lt;failed&gt; &amp; more."
    [attachment] = said["attachments"]
    assert attachment["color"] == "#c9252d" and attachment["fields"][1]["value"] == "journalctl -u it"
    over = body(Webhook("chat", "slack", "https://chat.example.org/x"), message(RESOLVED))
    assert "good again" in over["text"] and over["attachments"][0]["color"] == "#2e8540"


def test_the_shape_that_pagerduty_takes():
    [hook] = from_dict({"webhooks": [{"type": "pagerduty", "routing_key": "R0UT1NG"}]}).webhooks
    assert hook.url == "https://events.pagerduty.com/v2/enqueue" and "R0UT1NG" not in repr(hook)
    long = Alarm("age.redis", "x" * 3000, severity=WARNING)
    said = body(hook, message(alarm=long))
    assert (said["routing_key"], said["event_action"]) == ("R0UT1NG", "trigger")
    payload = said["payload"]
    assert {"summary", "source", "severity"} <= set(payload) and len(payload["summary"]) == 1024
    assert (payload["source"], payload["severity"], payload["component"]) == ("vps1", "warning", "shop")
    over = body(hook, message(RESOLVED, long))
    assert over == {"routing_key": "R0UT1NG", "event_action": "resolve", "dedup_key": said["dedup_key"]}
    assert len(said["dedup_key"]) <= 255


def test_the_general_shape_says_all_of_it():
    said = body(Webhook("ours", url="https://chat.example.org/x"), message(reminder=True))
    assert json.loads(json.dumps(said)) == {
        "version": 1,
        "status": "firing",
        "reminder": True,
        "stack": "shop",
        "host": "vps1",
        "key": "backup.postgres",
        "severity": "critical",
        "summary": FAILED.summary,
        "hint": FAILED.hint,
        "text": "shop on vps1: still: The backup <failed> & more.",
        "since": "2026-03-02T11:00:00Z",
        "time": "2026-03-02T12:00:00Z",
        "dedup_key": "slipway/vps1/shop/backup.postgres",
    }
