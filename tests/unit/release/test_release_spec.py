# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError
from ansible_collections.slipway.vps.plugins.module_utils.release.spec import parse, settings


def test_defaults_of_a_route(request_: dict[str, Any]) -> None:
    request_["routes"] = [{"service": "web", "port": 3000}, {"service": "web", "port": 3000, "path": "/b"}]
    first, second = parse(request_).routes
    assert (first.name, first.host, first.path, first.timeout) == ("web-3000", "shop.test", "/", 60)
    assert first.health.path == "/"
    assert second.name == "web-3000-2"


def test_a_websocket_waits_an_hour(request_: dict[str, Any]) -> None:
    assert {route.name: route.timeout for route in parse(request_).routes} == {"web": 60, "api": 3600, "tenants": 60}


def test_a_stored_release_reads_back_as_itself(request_: dict[str, Any]) -> None:
    request_["migrate"] = {"service": "api", "command": ["migrate"]}
    request_["hooks"] = {"before_switch": [{"service": "api", "command": "echo a | wc"}]}
    wanted = parse(request_)
    assert parse({**wanted.public(), "secrets": wanted.secrets}) == wanted
    assert wanted.hooks["before_switch"][0].argv == ("sh", "-c", "echo a | wc")


DIGEST = f"sha256:{'5f' * 32}"


def test_of_a_promoted_image_only_the_digest_counts(request_: dict[str, Any]) -> None:
    without = parse(request_)
    request_["digests"] = {"api": f"registry.example.com:5000/shop/api@{DIGEST}", "web": DIGEST}
    wanted = parse(request_)
    assert wanted.digests == {"api": DIGEST, "web": DIGEST}
    assert parse({**wanted.public(), "secrets": wanted.secrets}) == wanted
    # A release from before there were any is the same release still.
    assert "digests" not in without.public()


def test_no_secret_is_in_what_is_stored_or_shown(request_: dict[str, Any]) -> None:
    wanted = parse(request_)
    assert "correct horse" not in str(wanted.public())
    assert "correct horse" not in repr(wanted)
    assert wanted.values == {"LOG_LEVEL": "info", "POSTGRES_PASSWORD": "correct horse", "RELEASE": "1.0.0"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"stack": "Shop!"}, "Shop!"),
        ({"domain": "nowhere"}, "not a host name"),
        ({"release": "a b"}, "not a name that an image tag can have"),
        ({"release": ""}, "release of the stack is missing"),
        ({"compose": "  "}, "Compose file is empty"),
        ({"digests": {"api": "shop/api:1.0"}}, "not the digest of an image"),
        ({"digests": {"api": "sha256:5f"}}, "not the digest of an image"),
        ({"digests": ["api"]}, "not a dictionary"),
        ({"env": {"1X": "a"}}, "not the name of an environment variable"),
        ({"env": {"DOCKER_HOST": "tcp://x"}}, "reserved"),
        ({"env": {"RELEASE": "2"}}, "reserved"),
        ({"env": {"X": ["a"]}}, "not a text or a number"),
        ({"env": {"POSTGRES_PASSWORD": "x"}}, "both env and secrets"),
        ({"routes": [{"service": "web"}]}, "port of the route to web"),
        ({"routes": [{"service": "web", "port": 99999}]}, "no port"),
        ({"routes": [{"service": "web", "port": 80, "path": "x;}"}]}, "not a path"),
        ({"routes": [{"service": "web", "port": 80, "path": "/x{"}]}, "not a path"),
        ({"routes": [{"service": "web", "port": 80, "host": "a b.test"}]}, "not a host name"),
        ({"routes": [{"service": "web", "port": 80, "rate_limit": "fast"}]}, "not a rate"),
        ({"routes": [{"service": "web", "port": 80, "colour": "red"}]}, "unknown key 'colour'"),
        ({"routes": [{"service": "a", "port": 80}, {"service": "b", "port": 80}]}, "Two routes claim shop.test/"),
        ({"routes": [{"service": "a", "port": 80, "path": "/x"}, {"service": "b", "port": 80, "path": "/x/"}]}, "Two"),
        ({"files": {"../../etc/passwd": "x"}}, "outside the project directory"),
        ({"replicas": {"web": 0}}, "replicas of web"),
        ({"limits": {"web": {"cores": 2}}}, "unknown key 'cores'"),
        ({"hooks": {"at_noon": []}}, "no hook 'at_noon'"),
        ({"migrate": {"command": ["x"]}}, "names no service"),
    ],
)
def test_bad_input_is_told_in_a_sentence(request_: dict[str, Any], change: dict[str, Any], words: str) -> None:
    with pytest.raises(SlipwayError) as refusal:
        parse({**request_, **change})
    assert words in str(refusal.value)
    assert refusal.value.hint


def test_settings_have_limits() -> None:
    assert settings({}).retain == 5
    assert settings({"observe": 2, "force": True}).force is True
    for wrong in ({"retain": 1}, {"probe_successes": 0}, {"observe": -1}, {"lock_wait": "soon"}):
        with pytest.raises(SlipwayError):
            settings(wrong)
