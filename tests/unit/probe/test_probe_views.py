# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Two views of one name, with real servers: the host is 127.0.0.1, visitors come to 127.0.0.2."""

from __future__ import annotations

import contextlib

import pytest

from ansible_collections.slipway.vps.plugins.filter.health_views import FilterModule
from ansible_collections.slipway.vps.plugins.module_utils.probe import engine

HOST, ELSEWHERE = "127.0.0.1", "127.0.0.2"


@pytest.fixture
def both(serving, authority):
    """The sentences about a site whose two servers have the certificates that are described; None is no server."""

    with contextlib.ExitStack() as stack:

        def ask(host, visitors, *, addresses=(HOST,), path="/", name="localhost", status=()):
            port = stack.enter_context(serving(authority.issue("localhost", **{"days": 90, **host}))).server_port
            if visitors is not None:
                context = authority.issue("localhost", **{"days": 90, **visitors})
                stack.enter_context(serving(context, (ELSEWHERE, port)))
            url = f"https://localhost:{port}{path}"
            site = {"type": "http", "target": url, "ca_file": str(authority.file), "status": list(status) or ["200"]}
            inside = [
                {**site, "name": "site", "address": HOST},
                {**site, "name": "cert", "type": "tls", "target": f"localhost:{port}", "address": HOST, "status": None},
            ]
            outside = [
                {**site, "name": "outside: site", "address": ELSEWHERE},
                {"type": "dns", "name": "outside: name", "target": name},
            ]
            views = [
                [one.as_dict() for one in engine.check(engine.Request(probes, timeout=2)).probes]
                for probes in (inside, outside)
            ]
            return FilterModule().filters()["health_views"](*views, addresses)

        yield ask


def test_what_is_well_in_both_views_needs_no_word(both):
    assert both({}, {}) == []


def test_the_certificate_is_fine_but_the_name_leads_elsewhere(both):
    [sentence] = both({}, {"self_signed": True}, addresses=("203.0.113.4",))
    assert sentence.startswith(
        "The certificate of localhost is fine on the host, but the public name resolves elsewhere: to 127.0.0.1"
    )
    assert sentence.endswith("not to 203.0.113.4, where the certificate is self-signed: correct its DNS record.")


def test_somebody_in_between_ends_tls(both):
    [sentence] = both({}, {"days": -1})
    assert sentence.startswith(
        "The certificate of localhost is fine on the host, but visitors see another one (the certificate has expired):"
    )


def test_the_way_is_closed(both):
    [sentence] = both({}, None)
    assert sentence == (
        "localhost is well on the host, but it cannot be reached from outside (connection refused): look at the "
        "firewall of the host and of the provider."
    )


def test_the_way_leads_elsewhere(both):
    [sentence] = both({}, None, addresses=("203.0.113.4", "2001:db8::4"))
    assert "but the public name resolves elsewhere" in sentence
    assert "not to 203.0.113.4, 2001:db8::4 (connection refused)" in sentence


def test_the_host_itself_is_at_fault(both):
    [sentence] = both({}, {}, path="/broken")
    assert sentence == "localhost fails on the host itself too (HTTP 500 instead of 200): mend that first."


def test_visitors_are_answered_by_another(both):
    [sentence] = both({"self_signed": True}, {}, addresses=("203.0.113.4",))
    assert sentence.startswith(
        "localhost answers visitors, but not on the host (the certificate is self-signed): the public"
    )
    [sentence] = both({"self_signed": True}, {})
    assert "a cache or another server in between answers for it" in sentence


def view(kind, target, status, message="", observed=None):
    return {"type": kind, "target": target, "status": status, "message": message, "observed": observed or {}}


def test_a_name_that_does_not_resolve_and_an_answer_that_differs():
    compare = FilterModule().filters()["health_views"]
    inside = [view("http", f"https://shop.test/{n}", "ok") for n in range(2)]
    gone = [view("http", f"https://shop.test/{n}", "fail", "The name shop.test does not resolve") for n in range(2)]
    assert compare(inside, [*gone, view("dns", "shop.test", "fail")], ["203.0.113.4"]) == [
        "shop.test is well on the host, but its public name does not resolve: make an A or AAAA record for 203.0.113.4."
    ]
    other = [view("http", "https://shop.test/0", "fail", "HTTP 403 instead of 2xx", {"status": 403})]
    assert compare(inside, other)[0].startswith(
        "shop.test is well on the host, but visitors get another answer (HTTP 403"
    )
    assert compare(inside, []) == []
