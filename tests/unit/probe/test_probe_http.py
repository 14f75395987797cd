# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import ssl

import pytest

from ansible_collections.slipway.vps.plugins.module_utils.probe.jsonpath import lookup


def test_status_body_headers_and_json(web, probe):
    good = probe(
        type="http",
        target=f"{web.url}/",
        status=["200"],
        body_matches='"ok"',
        header_matches={"Content-Length": r"^\d+$"},
        json={"status": "ok", "db.pools.0.free": 3},
    )
    assert (good.status, good.message, good.observed) == ("ok", "HTTP 200", {"status": 200})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"status": ["404", "5xx"]}, "HTTP 200 instead of 404 or 5xx"),
        ({"body_matches": "^never"}, "the body does not match '^never'"),
        ({"header_matches": {"X-None": "."}}, "the header X-None does not match '.'"),
        ({"json": {"status": "up"}}, 'status is "ok" instead of "up"'),
        ({"json": {"db.pools.1.free": 3}}, "the JSON body has no db.pools.1.free (missing: 1)"),
        ({"json": {"db.lag": 3}}, "the JSON body has no db.lag (missing: lag)"),
    ],
)
def test_what_is_expected_and_what_is_seen(web, probe, options, message):
    bad = probe(type="http", target=f"{web.url}/", **options)
    assert (bad.status, bad.message) == ("fail", message)


def test_method_headers_and_basic_authentication_are_sent(web, probe):
    probe(
        type="http",
        target=f"{web.url}/x?a=1",
        method="POST",
        body="hello",
        headers={"X-Forwarded-Proto": "https"},
        secret_headers={"X-Api-Key": "hunter22"},
        username="joe",
        password="hunter23",
    )
    path, headers = web.seen[-1]
    assert path == "/x?a=1"
    assert headers["X-Forwarded-Proto"] == "https"
    assert headers["X-Api-Key"] == "hunter22"
    assert headers["Authorization"] == "Basic am9lOmh1bnRlcjIz"
    assert headers["Content-Length"] == "5"


def test_secrets_do_not_come_back_in_the_result(web, probe):
    bad = probe(type="http", target=f"{web.url}/broken?key=hunter99", secret_headers={"X-Key": "hunter22"})
    assert bad.status == "fail"
    assert bad.observed["body"] == '{"error": "password=*** refused"}'
    assert "hunter" not in str(bad.as_dict())


def test_a_token_in_the_query_is_masked_where_the_server_repeats_it(web, probe):
    bad = probe(type="http", target=f"{web.url}/echo?token=hunter22 ü", status=["404"])
    assert web.seen[-1][0] == "/echo?token=hunter22%20%C3%BC"
    assert "hunter22" not in str(bad.as_dict())


def test_redirects_are_not_followed_unless_asked(web, probe):
    seen = probe(type="http", target=f"{web.url}/redirect/0", status=["302"], header_matches={"Location": "^/$"})
    assert seen.status == "ok"
    followed = probe(type="http", target=f"{web.url}/redirect/2", redirects=3)
    assert (followed.status, followed.message) == ("ok", "HTTP 200")
    loop = probe(type="http", target=f"{web.url}/redirect/9", redirects=2)
    assert loop.status == "fail"
    assert loop.message.startswith("more than 2 redirects, the last one to")
    assert "hunter22" not in loop.message


def test_a_redirect_to_another_site_gets_no_secrets(web, probe):
    web.elsewhere = f"http://localhost:{web.server_port}/there"
    result = probe(type="http", target=f"{web.url}/elsewhere", redirects=1, secret_headers={"X-Api-Key": "hunter22"})
    assert result.status == "ok"
    (_first, first), (second, last) = web.seen
    assert first["X-Api-Key"] == "hunter22"
    assert second == "/there" and "X-Api-Key" not in last


def test_an_address_keeps_host_and_name(secure_web, authority, probe):
    port = secure_web("shop.test")
    seen = probe(
        type="http",
        target=f"https://shop.test:{port}/",
        address="127.0.0.1",
        ca_file=str(authority.file),
        json={"host": f"shop.test:{port}"},
    )
    assert (seen.status, seen.message) == ("ok", "HTTP 200")


@pytest.mark.parametrize(
    ("certificate", "message"),
    [
        ({"name": "other.test"}, "the certificate is for another name than shop.test"),
        ({"days": -1}, "the certificate has expired"),
        ({"started": -1}, "the certificate is not valid yet"),
        ({"self_signed": True}, "the certificate is self-signed"),
    ],
)
def test_bad_certificates_are_told_apart(secure_web, authority, probe, certificate, message):
    port = secure_web(**certificate)
    bad = probe(type="http", target=f"https://shop.test:{port}/", address="127.0.0.1", ca_file=str(authority.file))
    assert (bad.status, bad.message) == ("fail", message)
    unverified = probe(type="http", target=f"https://shop.test:{port}/", address="127.0.0.1", verify=False)
    assert unverified.status == "ok"


def test_an_unknown_ca_and_a_missing_ca_file(secure_web, probe, tmp_path):
    port = secure_web()
    target = {"type": "http", "target": f"https://shop.test:{port}/", "address": "127.0.0.1"}
    assert probe(**target).message == "the certificate's chain does not end at a trusted CA"
    assert "does not exist" in probe(**target, ca_file="/nonexistent.pem").message
    text = tmp_path / "text.pem"
    text.write_text("no certificate\n")
    assert "is not a PEM file with certificates" in probe(**target, ca_file=str(text)).message


def test_tls_against_a_plain_server_is_a_sentence(web, probe):
    bad = probe(type="http", target=f"https://127.0.0.1:{web.server_port}/")
    assert bad.message.startswith("TLS failed: ")
    assert bad.hint == "Does the server speak TLS on this port?"


def test_a_server_without_a_site_of_this_name(authority, probe, serving):
    context = authority.issue("shop.test", 90)
    context.sni_callback = lambda *_arguments: ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
    with serving(context) as server:
        target = f"https://shop.test:{server.server_port}/"
        bad = probe(type="http", target=target, address="127.0.0.1", ca_file=str(authority.file))
    assert bad.message == "the server has no site named shop.test"


def test_a_name_that_does_not_resolve_is_a_sentence(probe):
    bad = probe(type="http", target="http://nowhere.invalid/")
    assert bad.message.startswith("The name nowhere.invalid does not resolve")


@pytest.mark.parametrize(
    ("path", "value"), [("a", {"b": [1, {"c": None}]}), ("a.b.0", 1), ("a.b.1.c", None), ("a.b.-1.c", None)]
)
def test_dotted_paths(path, value):
    assert lookup({"a": {"b": [1, {"c": None}]}}, path) == value


@pytest.mark.parametrize("path", ["", "b", "a.b.x", "a.b.7", "a.b.0.c"])
def test_dotted_paths_that_lead_nowhere(path):
    with pytest.raises(LookupError):
        lookup({"a": {"b": [1]}}, path)
