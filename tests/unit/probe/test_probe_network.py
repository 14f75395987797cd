# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError
from ansible_collections.slipway.vps.plugins.module_utils.probe import address


def test_tcp_open_closed_and_refused(web, closed_port, probe):
    here = f"127.0.0.1:{web.server_port}"
    assert probe(type="tcp", target=here).message == "accepts connections"
    assert probe(type="tcp", target=f"127.0.0.1:{closed_port}").message == "connection refused"
    closed = probe(type="tcp", target=f"127.0.0.1:{closed_port}", open=False)
    assert (closed.status, closed.message) == ("ok", "not reachable, as it should be")
    exposed = probe(type="tcp", target=here, open=False)
    assert (exposed.status, exposed.message) == ("fail", "reachable, but it should be closed")


def test_tcp_banner(greeting, probe):
    target = f"127.0.0.1:{greeting}"
    good = probe(type="tcp", target=target, banner=r"^SSH-2\.0-")
    assert (good.status, good.observed["banner"]) == ("ok", "SSH-2.0-OpenSSH_9.9")
    assert probe(type="tcp", target=target, banner="^220 ").status == "fail"


def test_tcp_to_an_address_that_never_answers_ends_at_the_connect_deadline(probe):
    # 192.0.2.0/24 is reserved for documentation: nothing answers there, or the network says so at once.
    bad = probe(type="tcp", target="192.0.2.1:81", connect_timeout=0.3)
    assert bad.status == "fail"
    assert bad.latency_ms < 1500


def test_tls_expiry(secure_web, authority, probe):
    def ask(days, **options):
        target = f"shop.test:{secure_web(days=days)}"
        return probe(type="tls", target=target, address="127.0.0.1", ca_file=str(authority.file), **options)

    good = ask(90)
    assert (good.status, good.observed["names"], good.observed["issuer"]) == ("ok", ["shop.test"], "Test CA")
    assert good.message in ("valid for 90 days", "valid for 89 days")
    assert ask(15).status == "warn"
    soon = ask(5)
    assert soon.status == "fail"
    assert soon.message == "the certificate expires in 5.0 days (fail below 7)"
    assert ask(5, warn_days=3, fail_days=1).status == "ok"


@pytest.mark.parametrize(
    ("certificate", "message"),
    [
        ({"days": -1.0}, "the certificate has expired"),
        ({"name": "other.test"}, "the certificate is for another name than shop.test"),
        ({"self_signed": True}, "the certificate is self-signed"),
    ],
)
def test_tls_bad_certificates(secure_web, authority, probe, certificate, message):
    port = secure_web(**certificate)
    bad = probe(type="tls", target=f"shop.test:{port}", address="127.0.0.1", ca_file=str(authority.file))
    assert (bad.status, bad.message) == ("fail", message)


def test_websocket_handshake(web, probe):
    target = f"ws://127.0.0.1:{web.server_port}"
    good = probe(type="websocket", target=f"{target}/ws?key=hunter22")
    assert (good.status, good.message) == ("ok", "handshake completed")
    assert good.target == f"{target}/ws?key=***"
    assert probe(type="websocket", target=f"{target}/").message == "HTTP 200 instead of 101 Switching Protocols"


def test_dns(probe):
    good = probe(type="dns", target="localhost")
    assert good.status == "ok" and "127.0.0.1" in good.observed["addresses"]
    bad = probe(type="dns", target="localhost", addresses=["192.0.2.9"])
    assert bad.message.endswith("and not to 192.0.2.9")
    assert probe(type="dns", target="nowhere.invalid").status == "fail"


@pytest.mark.parametrize(
    ("text", "default", "expected"),
    [
        ("a.b:1", None, ("a.b", 1)),
        ("a.b", 443, ("a.b", 443)),
        ("[::1]:8443", None, ("::1", 8443)),
        ("[::1]", 443, ("::1", 443)),
        ("::1", 443, ("::1", 443)),
    ],
)
def test_addresses(text, default, expected):
    assert address.split(text, default) == expected


@pytest.mark.parametrize("text", ["", ":80", "host:", "host:http", "host:0", "::1"])
def test_what_is_no_address(text):
    with pytest.raises(SlipwayError):
        address.split(text)
