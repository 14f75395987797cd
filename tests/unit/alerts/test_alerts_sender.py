# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Messages against a real server that answers, refuses, breaks and hangs."""

from __future__ import annotations

import email.utils
import time

import pytest

from ansible_collections.slipway.vps.plugins.module_utils.alerts.options import from_dict
from ansible_collections.slipway.vps.plugins.module_utils.alerts.sender import send
from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError

TEXT = {"text": "The backup failed."}
SECRETS = ("SECRETPATH", "SECRETKEY", "SECRETTOKEN")


class Pauses(list):
    """Remembers how long it was asked to wait, and does not."""

    __call__ = list.append


@pytest.fixture
def pauses():
    return Pauses()


def refused(hook, pauses):
    with pytest.raises(SlipwayError) as caught:
        send(hook, TEXT, pauses)
    error = caught.value
    assert error.hint
    for text in (str(error), repr(error), repr(error.details), repr(error.__context__), repr(hook)):
        assert not [secret for secret in SECRETS if secret in text]
    return error


def test_a_message_arrives_over_tls_with_its_token(serve, pauses):
    server = serve()
    assert send(server.webhook(token="SECRETTOKEN"), TEXT, pauses) == 1
    assert server.received == [TEXT] and pauses == []
    [(path, headers)] = server.heads
    assert path == "/hooks/SECRETPATH?key=SECRETKEY"
    assert headers["Content-Type"] == "application/json" and headers["Authorization"] == "Bearer SECRETTOKEN"


def test_what_breaks_or_is_busy_is_tried_again_with_growing_pauses(serve, pauses):
    server = serve()
    server.script = ["reset", 500, 503, "reset"]
    assert send(server.webhook(), TEXT, pauses) == 5
    assert server.received == [TEXT]
    assert [0.5 * 2**n <= pause <= 2**n for n, pause in enumerate(pauses)] == [True] * 4


def test_a_server_that_says_when_to_come_back_is_obeyed(serve, pauses):
    server = serve()
    soon = email.utils.formatdate(time.time() + 4, usegmt=True)
    server.script = [(429, {"Retry-After": "3"}), (503, {"Retry-After": soon})]
    assert send(server.webhook(), TEXT, pauses) == 3
    assert pauses[0] == 3.0 and 2.0 < pauses[1] <= 4.0


def test_one_that_wants_more_time_than_there_is_gets_the_next_check(serve, pauses):
    server = serve()
    server.script = [(429, {"Retry-After": "3600"})]
    assert "HTTP 429" in str(refused(server.webhook(), pauses))
    assert pauses == [] and len(server.heads) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 302])
def test_a_refusal_is_final(serve, pauses, status):
    server = serve()
    server.script = [(status, {"Location": "https://elsewhere.example.org/"})]
    error = refused(server.webhook(), pauses)
    assert f"HTTP {status}" in str(error) and error.details["of_message"]
    assert len(server.heads) == 1


def test_a_server_that_stays_bad_is_given_up(serve, pauses):
    server = serve()
    server.script = [500] * 9
    assert "it answers HTTP 500, also at try 3" in str(refused(server.webhook(tries=3), pauses))
    assert len(server.heads) == 3


@pytest.mark.parametrize("how", ["hang", "drip"])
def test_a_server_that_hangs_or_trickles_keeps_nobody_longer_than_the_limit(serve, pauses, how):
    server = serve()
    server.script = [how, how]
    started = time.monotonic()
    assert "does not answer in time" in str(refused(server.webhook(timeout=0.5, deadline=20, tries=2), pauses))
    assert time.monotonic() - started < 3.0
    assert len(server.heads) == 2


def test_a_certificate_that_is_not_trusted_is_no_receiver(serve, pauses):
    server = serve()
    error = refused(server.webhook(ca_file=""), pauses)
    assert "certificate is not trusted" in str(error) and server.heads == []


def test_a_certificate_of_another_name_is_refused(serve, pauses):
    server = serve()
    elsewhere = server.webhook(url=server.url.replace("localhost", "127.0.0.1"))
    assert "certificate is not trusted" in str(refused(elsewhere, pauses))
    assert server.heads == []


def test_a_receiver_that_is_not_there_is_told(pauses):
    [hook] = from_dict({"webhooks": [{"url": "https://localhost:9/SECRETPATH", "tries": 2}]}).webhooks
    assert "Connection refused" in str(refused(hook, pauses))
    [hook] = from_dict({"webhooks": [{"url": "https://no-such-host.invalid/SECRETPATH", "tries": 1}]}).webhooks
    assert "its name cannot be resolved" in str(refused(hook, pauses))


def test_a_receiver_on_this_host_may_do_without_tls(serve, pauses):
    server = serve(tls=False)
    assert send(server.webhook(), TEXT, pauses) == 1


@pytest.mark.parametrize(
    ("webhook", "sentence"),
    [
        ({"url": "http://chat.example.org/SECRETPATH"}, "is not https"),
        ({"url": "chat.example.org/SECRETPATH"}, "is none"),
        ({"url": "https://user:SECRETKEY@chat.example.org/"}, "is none"),
        ({"url": "https://chat.example.org/SECRETPATH\r\nX: y"}, "is none"),
        ({"url": "https://chat.example.org:99999/SECRETPATH"}, "is none"),
        ({"url": "https://chat.example.org/SECRETPATH", "ca_file": "/nowhere.pem"}, "does not exist"),
        ({"url": "https://chat.example.org/SECRETPATH", "type": "irc"}, "one of generic, slack, pagerduty"),
        ({"url": "https://chat.example.org/SECRETPATH", "name": "Über uns"}, "lower-case letters"),
        ({"url": "https://chat.example.org/SECRETPATH", "colour": "red"}, "unknown settings: colour"),
        ({"url": "https://chat.example.org/SECRETPATH", "timeout": 90}, "timeout <= deadline"),
        ({"type": "pagerduty"}, "has no routing_key"),
    ],
)
def test_a_webhook_that_makes_no_sense_is_refused_without_its_secret(webhook, sentence):
    with pytest.raises(SlipwayError, match=sentence) as caught:
        from_dict({"webhooks": [webhook]})
    assert not [secret for secret in SECRETS if secret in str(caught.value)]


def test_two_webhooks_of_one_name_are_refused():
    one = {"url": "https://chat.example.org/x", "type": "slack"}
    with pytest.raises(SlipwayError, match="Two webhooks have one name"):
        from_dict({"webhooks": [one, one]})
