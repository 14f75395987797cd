# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a health path is expected to answer, asked from a real HTTP server."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError
from ansible_collections.slipway.vps.plugins.module_utils.release import health, nginx, watch
from ansible_collections.slipway.vps.plugins.module_utils.release.expectation import Expectation, parse, plain
from ansible_collections.slipway.vps.plugins.module_utils.release.spec import Route, routes
from ansible_collections.slipway.vps.plugins.module_utils.release.spec import parse as parse_spec


class Application(ThreadingHTTPServer):
    """Answers with what it was told last, and remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.status, self.body = 200, '{"status": "ok"}'
        self.asked: list[dict[str, str]] = []


class Handler(BaseHTTPRequestHandler):
    server: Application

    def do_GET(self) -> None:
        self.server.asked.append({"path": self.path, **{name.lower(): value for name, value in self.headers.items()}})
        self.send_response(self.server.status)
        self.send_header("X-Release", "1.4.2")
        self.end_headers()
        self.wfile.write(self.server.body.encode())

    def log_message(self, format: str, *args: Any) -> None:
        return


@pytest.fixture
def application() -> Iterator[Application]:
    server = Application()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def route(**health_: Any) -> Route:
    return routes([{"service": "api", "port": 80, "health": health_ or "/health"}], "shop.test")[0]


@pytest.mark.parametrize(
    ("given", "status", "body", "words"),
    [
        ("/health", 200, "", ""),
        ("/health", 302, "", ""),
        ("/health", 404, "", "status 404 instead of 2xx or 3xx"),
        ({"path": "/health", "status": [204]}, 204, "", ""),
        ({"path": "/health", "status": 204}, 200, "", "status 200 instead of 204"),
        ({"status": ["2xx"]}, 301, "", "status 301 instead of 2xx"),
        ({"body": '"status": ?"ok"'}, 200, '{"status": "ok"}', ""),
        ({"body": '"status": ?"ok"'}, 200, '{"status": "broken"}', "the body does not match"),
        ({"body": "ok"}, 500, "ok", "status 500 instead of"),
        ({"headers": {"x-RELEASE": r"^1\.4\.2$"}}, 200, "", ""),
        ({"headers": {"X-Release": r"^2"}}, 200, "", "the header X-Release is '1.4.2', which does not match '^2'"),
        ({"headers": {"X-Ready": "yes"}}, 200, "", "the header X-Ready is missing"),
    ],
)
def test_an_answer_is_judged(application: Application, given: Any, status: int, body: str, words: str) -> None:
    application.status, application.body = status, body
    wanted = routes([{"service": "api", "port": 80, "health": given}], "shop.test")[0]
    said = health.ask(application.server_port, wanted, "shop.test")
    assert said.ok == (not words)
    assert words in said.complaint


def test_the_question_is_what_nginx_would_ask(application: Application) -> None:
    health.ask(application.server_port, route(path="/health?deep=1"), "shop.test")
    (asked,) = application.asked
    assert (asked["path"], asked["host"], asked["x-forwarded-proto"]) == ("/health?deep=1", "shop.test", "https")


def test_a_wrong_body_is_told_with_what_was_seen_and_what_was_expected(application: Application) -> None:
    application.body = '{"status": "broken"}'
    wanted = route(path="/health", body='"status": "ok"')
    with pytest.raises(SlipwayError) as refusal:
        health.probe([wanted], {wanted.name: [application.server_port]}, "shop.test", 3, 0.0)
    assert "3 times in a row" in refusal.value.message and "broken" in refusal.value.message
    assert 'a body that matches \'"status": "ok"\'' in refusal.value.hint
    assert refusal.value.details["probe"]["body"] == '{"status": "broken"}'
    assert refusal.value.details["service"] == "api"


def test_good_answers_are_counted_in_a_row(application: Application) -> None:
    wanted = route()
    health.probe([wanted], {wanted.name: [application.server_port]}, "shop.test", 3, 0.0)
    assert len(application.asked) == 3


def test_nobody_listens() -> None:
    said = health.ask(1, route(), "shop.test")
    assert (said.status, said.complaint) == (0, "no answer")
    assert "ConnectionRefused" in said.body


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"body": "("}, "not a regular expression"),
        ({"headers": {"X-A": "["}}, "not a regular expression"),
        ({"headers": {"X A": "."}}, "not the name of a header"),
        ({"headers": ["X-A"]}, "not a dictionary"),
        ({"status": [99]}, "not a status code"),
        ({"status": "ok"}, "not a status code"),
        ({"path": "health"}, "not a path"),
        ({"code": 200}, "unknown key 'code'"),
        ("/a b", "not a path"),
    ],
)
def test_a_mistake_is_told_before_anything_changes(request_: dict[str, Any], given: Any, words: str) -> None:
    request_["routes"][0]["health"] = given
    with pytest.raises(SlipwayError) as refusal:
        parse_spec(request_)
    assert words in str(refusal.value) and "route web" in str(refusal.value)
    assert refusal.value.hint


def test_it_is_stored_as_it_is_written() -> None:
    assert plain(parse("health", "/up")) == "/up"
    whole = {"path": "/up", "status": ["204"], "body": "", "headers": {"X-A": "b"}}
    assert plain(parse("health", whole)) == whole
    assert parse("health", None) == Expectation("/")


def test_a_health_path_that_leads_to_another_route_tells_nothing_about_this_one() -> None:
    found = routes(
        [
            {"service": "web", "port": 1},
            {"service": "api", "port": 2, "path": "/api", "health": "/health"},
            {"service": "media", "port": 3, "path": "/media/", "health": "/media/up"},
            {"service": "old", "port": 4, "path": "/old", "health": "/health"},
            {"service": "docs", "port": 5, "path": "/docs"},
        ],
        "shop.test",
    )
    assert [nginx.asked_through(found, entry) for entry in found] == [True, True, True, False, False]
    owner = nginx.leads_to(found, "/media/x/y")
    assert owner and owner.service == "media"
    assert nginx.leads_to(found[1:2], "/apiary") is None


class Watcher:
    """A clock that never waits, and answers by the script."""

    def __init__(self, script: str) -> None:
        self.now = 0.0
        self.script = iter(script)

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def ask(self, _route: Route) -> health.Answer:
        good = next(self.script, "+") == "+"
        return health.Answer("there", 200 if good else 503, {}, "", "" if good else "status 503")

    def watch(self, seconds: float) -> None:
        watch.watch([(route(), self.ask)], seconds, lambda: None, self.clock, self.sleep)


def test_one_lost_answer_is_no_illness_and_two_are() -> None:
    single = Watcher("+-+-+")
    single.watch(2)
    assert single.now >= 2
    with pytest.raises(SlipwayError, match="Under traffic the release is sick: there: status 503"):
        Watcher("++--").watch(5)


def test_the_watch_does_not_end_on_a_bad_answer() -> None:
    with pytest.raises(SlipwayError, match="sick"):
        Watcher("++--").watch(1)
