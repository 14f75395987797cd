# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Secrets in headers, passwords, bodies and queries appear in no output, whatever a server makes of them."""

from __future__ import annotations

import base64
import html
import json
from urllib.parse import quote, quote_plus, unquote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError
from ansible_collections.slipway.vps.plugins.module_utils.probe import engine, report
from ansible_collections.slipway.vps.plugins.module_utils.probe.redact import redact
from ansible_collections.slipway.vps.plugins.module_utils.probe.registry import TYPES
from ansible_collections.slipway.vps.plugins.module_utils.probe.spec import parse

# What a header may hold. The mark tells a secret from the words of a report.
VISIBLE = st.characters(min_codepoint=33, max_codepoint=126)
SECRET = st.text(VISIBLE, min_size=4, max_size=30).map(lambda text: f"Zq{text}qZ")
QUICK = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@pytest.fixture(name="gossip", scope="module")
def _gossip(raw_server):
    """A server that repeats all that it was told, in every way in which servers do, at the edge of an excerpt."""

    def behave(connection, _stop):
        asked = connection.recv(65536).decode("latin-1")
        head, _end, body = asked.partition("\r\n\r\n")
        lines = [line for line in [*head.splitlines(), body] if "Zq" in line]
        told = [part for line in lines for part in (line, *line.split(": ", 1)[1:], *line.split("=")[1:])]
        plain = [unquote(part.removesuffix(" HTTP/1.1")) for part in told]
        ways = (str, quote, quote_plus, html.escape, repr, json.dumps)
        text = "\n".join([*told, *(way(part) for part in plain for way in ways)])
        padding = "." * (190 - len(asked) % 40)
        answer = json.dumps({"status": text}) if "json" in head else padding + text
        data = answer.encode()
        connection.sendall(
            b"HTTP/1.1 500 No\r\nLocation: /x?token="
            + quote("".join(told[:1])).encode()
            + b"\r\nContent-Length: "
            + str(len(data)).encode()
            + b"\r\n\r\n"
            + data
        )

    with raw_server(behave) as port:
        yield f"http://127.0.0.1:{port}"


def outputs(found):
    yield from (write(found) for write in report.FORMATS.values())
    yield found.sentence()
    yield repr(found.as_dict())


def appears(secret, text):
    forms = {secret, quote(secret), quote_plus(secret), html.escape(secret), json.dumps(secret)[1:-1]}
    forms |= {base64.b64encode(secret.encode()).decode(), repr(secret)[1:-1]}
    # The first half is enough: nothing may be cut through the middle.
    forms |= {secret[: max(4, len(secret) // 2 + 2)]}
    return sorted(form for form in forms if form in text)


@QUICK
@given(header=SECRET, password=SECRET, query=SECRET, body=SECRET, path=st.sampled_from(["/", "/json"]))
def test_no_secret_in_any_output(gossip, header, password, query, body, path):
    probe = {
        "type": "http",
        "target": f"{gossip}{path}?key={quote(query, safe='')}&{quote(query, safe='')}",
        "method": "POST",
        "secret_headers": {"X-Api-Key": header},
        "username": "monitor",
        "password": password,
        "body": body,
        "status": ["5xx", "200"] if path == "/json" else ["200"],
        "json": {"status": "fine"} if path == "/json" else None,
        "body_matches": "no such text",
    }
    found = engine.check(engine.Request([probe]))
    assert found.status == "fail"
    pair = base64.b64encode(f"monitor:{password}".encode()).decode()
    for text in outputs(found):
        for secret in (header, password, query, body, pair):
            assert appears(secret, text) == []


@QUICK
@given(secret=SECRET, before=st.text(max_size=300), after=st.text(max_size=20))
def test_an_excerpt_never_cuts_through_a_secret(secret, before, after):
    probe = parse({"type": "http", "target": "http://a/", "password": secret}, TYPES, {})
    seen = TYPES["http"](probe).excerpt(f"{before}{secret}{after}")
    assert len(seen) <= 200
    assert secret[:6] not in seen or secret[:6] in before + after


@QUICK
@given(url=st.text(max_size=60), start=st.sampled_from(["", "http://", "https://u:", "ws://[", "http://h:", "//"]))
@pytest.mark.parametrize("kind", ["http", "websocket", "tcp", "tls", "redis", "systemd", "disk", "postgres", "dns"])
def test_any_target_is_a_probe_or_a_sentence(kind, url, start):
    try:
        parse({"type": kind, "target": start + url}, TYPES, {})
    except SlipwayError as error:
        assert str(error)


@QUICK
@given(secret=SECRET)
def test_a_password_in_a_url_is_never_repeated(secret):
    for target in (
        f"https://joe:{secret}@example.org/",
        f"http://example.org:{secret}/",
        f"http://[{secret}/?a={secret}",
    ):
        with pytest.raises(SlipwayError) as caught:
            parse({"type": "http", "target": target}, TYPES, {})
        assert appears(secret, str(caught.value)) == []


def test_further_secrets_are_masked_in_names_too(closed_port):
    probe = {"type": "http", "target": f"http://127.0.0.1:{closed_port}/hooks/T0K3N"}
    found = engine.check(engine.Request([probe], secrets=["T0K3N"]))
    assert found.probes[0].name == f"http http://127.0.0.1:{closed_port}/hooks/***"
    assert all("T0K3N" not in text for text in outputs(found))


@given(
    value=st.recursive(
        st.text() | st.integers() | st.none(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_without_secrets_nothing_is_changed(value):
    assert redact(value, []) == value
