# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError
from ansible_collections.slipway.vps.plugins.module_utils.probe import arguments, engine
from ansible_collections.slipway.vps.plugins.module_utils.probe.registry import CLASSES, TYPES
from ansible_collections.slipway.vps.plugins.module_utils.probe.spec import COMMON, parse


def parsed(**definition):
    return parse(definition, TYPES, {})


@pytest.mark.parametrize(
    ("definition", "sentence"),
    [
        ({"target": "/"}, "The probe / has no type. Use one of backup_age, backup_stored, certificates,"),
        ({"type": "htttp", "name": "x"}, "The probe x has the unknown type 'htttp'. Did you mean http?"),
        ({"type": "http"}, "has no target. Type http expects an http:// or https:// URL"),
        ({"type": "http", "target": "http://a", "statuss": [200]}, "has no option 'statuss'. Did you mean status?"),
        ({"type": "tcp", "target": "a:1", "query": "x"}, "(type tcp) has no option 'query'."),
        ({"type": "tcp", "target": "a"}, "'a' is not an address. Write host:port"),
        ({"type": "tcp", "target": "a:70000"}, "'a:70000' is not an address."),
        ({"type": "tcp", "target": "a:1", "timeout": 0}, "timeout must be at least 0.001."),
        ({"type": "tcp", "target": "a:1", "timeout": "soon"}, "timeout must be a number, not str."),
        ({"type": "tcp", "target": "a:1", "retries": 1, "failures": 3}, "3 failures in a row but forgives only 1."),
        ({"type": "http", "target": "ftp://a/"}, "The target is not an http:// or https:// URL."),
        ({"type": "http", "target": "http://a/", "status": ["ok"]}, "'ok' is not a status code."),
        ({"type": "http", "target": "http://a/", "body_matches": "("}, "'(' is not a regular expression"),
        ({"type": "http", "target": "http://a/", "headers": {"Authorization": "x"}}, "Write it under secret_headers."),
        ({"type": "container", "target": "a", "slot": "red"}, "slot must be one of active, blue, green, data."),
        ({"type": "systemd", "target": "nginx"}, "'nginx' is not a unit. Write its full name"),
        ({"type": "systemd", "target": "--all.service"}, "is not a unit"),
        ({"type": "redis"}, "It has neither a target nor a login_container."),
        ({"type": "disk", "target": "var"}, "The target is not an absolute path."),
        ({"type": "command"}, "It has no argv."),
        ({"type": "websocket", "target": "https://a/"}, "The target is not a ws:// or wss:// URL"),
    ],
)
def test_bad_probes_get_a_sentence(definition, sentence):
    with pytest.raises(SlipwayError) as caught:
        parsed(**definition)
    assert sentence in str(caught.value)


def test_a_password_in_a_url_is_refused_without_being_repeated():
    with pytest.raises(SlipwayError) as caught:
        parsed(type="http", target="https://joe:hunter22@example.org/?token=hunter23")
    assert "Use the options username and password." in str(caught.value)
    assert "hunter" not in str(caught.value)


def test_a_value_of_the_wrong_type_is_not_repeated():
    with pytest.raises(SlipwayError) as caught:
        parsed(type="http", target="http://a/", password=["hunter22"])
    assert "password must be text, not list" in str(caught.value)
    assert "hunter22" not in str(caught.value)


def test_two_probes_of_one_name_are_refused():
    request = engine.Request([{"type": "memory", "name": "m"}, {"type": "disk", "target": "/", "name": "m"}])
    with pytest.raises(SlipwayError, match="Two probes are called 'm'"):
        engine.check(request)


@pytest.mark.parametrize(("field", "value"), [("concurrency", 0), ("deadline", 0)])
def test_bad_limits_are_refused(field, value):
    with pytest.raises(SlipwayError, match=field):
        engine.check(engine.Request([], **{field: value}))


def test_numbers_and_words_from_yaml_are_taken_as_meant():
    probe = parsed(type="http", target="http://a/", status=200, redirects="2", verify="no")
    assert probe.options["status"] == ["200"]
    assert probe.options["redirects"] == 2
    assert probe.options["verify"] is False


def test_failures_and_retries_complete_each_other():
    assert parsed(type="memory", retries=4).failures == 5
    assert parsed(type="memory", failures=3).retries == 2


def test_a_nameless_probe_is_named_without_secrets():
    assert parsed(type="http", target="http://a/b?key=hunter22").name == "http http://a/b?key=***"
    assert parsed(type="postgres", login_container="shop-data-postgres-1").name == (
        "postgres container shop-data-postgres-1, port 5432"
    )


def test_secrets_are_collected_from_the_options():
    probe = parsed(type="http", target="http://a/", password="hunter22", secret_headers={"X-Key": "hunter23"})
    assert probe.secrets == {"hunter22", "hunter23"}


def test_every_type_is_documented_and_its_options_fit_together():
    options = arguments.probe_options()
    assert set(options) == {"type", *COMMON} | {name for cls in CLASSES for name in cls.options}
    assert all(cls.summary.endswith(".") and cls.target.endswith(".") for cls in CLASSES)


def test_secret_options_are_hidden_by_ansible_too():
    options = arguments.probe_options()
    hidden = {name for name, option in options.items() if option.get("no_log")}
    assert hidden == {"password", "body", "secret_headers", "login_password", "environment"}
