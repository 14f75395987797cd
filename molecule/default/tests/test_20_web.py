# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The service, from outside and over HTTPS."""

from __future__ import annotations

import ssl
from typing import Any

import pytest

TENANTS = {"alpha": "alpha.shop.test", "bravo": "bravo.shop.test", "charlie": "charlie.shop.test"}
HOSTS = ["shop.test", "api.shop.test", "admin.shop.test", "bravo-books.test", *TENANTS.values()]


@pytest.mark.parametrize("host", HOSTS)
def test_http_redirects_to_https(web: Any, host: str) -> None:
    answer = web.plain(host, "/some/page?x=1")
    assert answer.status in (301, 308)
    assert answer.headers["location"] == f"https://{host}/some/page?x=1"


@pytest.mark.parametrize("host", HOSTS)
def test_certificate_is_for_this_host_and_trusted(web: Any, host: str) -> None:
    names = [value for kind, value in web.certificate(host)["subjectAltName"] if kind == "DNS"]
    assert host in names


@pytest.mark.parametrize(
    ("host", "word"),
    [("shop.test", "front end"), ("admin.shop.test", "dashboard")],
)
def test_pages(web: Any, host: str, word: str) -> None:
    answer = web.ask(host)
    assert answer.status == 200
    assert word in answer.text


def test_api_is_ready_with_database_and_redis(web: Any) -> None:
    answer = web.ask("api.shop.test", "/ready")
    assert answer.status == 200
    assert answer.json()["checks"] == {"database": "ok", "redis": "ok"}


def test_websocket(web: Any) -> None:
    greeting, echo = web.websocket("api.shop.test", "hello")
    assert greeting["release"]
    assert echo["echo"] == "hello"


def test_unknown_host_gets_nothing(web: Any) -> None:
    with pytest.raises((ssl.SSLError, ConnectionError)):
        web.ask("stranger.test")
    with pytest.raises(ConnectionError):
        web.plain("stranger.test")


def test_the_release_is_told_to_the_host_only(web: Any, vps: Any) -> None:
    assert web.ask("shop.test", "/.well-known/slipway/release").status in (403, 404)
    # From the host itself, where curl need not be installed.
    program = (
        "import socket, ssl; context = ssl._create_unverified_context();"
        " plain = socket.create_connection(('127.0.0.1', 443), 5);"
        " secure = context.wrap_socket(plain, server_hostname='shop.test');"
        " secure.sendall(b'GET /.well-known/slipway/release HTTP/1.0\\r\\nHost: shop.test\\r\\n\\r\\n');"
        " print(secure.makefile('rb').read().decode())"
    )
    told = vps.check_output("python3 -c %s", program)
    assert '"slot"' in told


def test_each_tenant_sees_only_its_own_products(web: Any) -> None:
    for slug, host in TENANTS.items():
        answer = web.ask(host, "/products", method="POST", body={"name": f"hat of {slug}", "price_cents": 900})
        assert answer.status == 201, answer.text
        assert answer.json()["tenant"] == slug
    for slug, host in TENANTS.items():
        assert set(web.products(host)) == {f"hat of {slug}"}


def test_custom_domain_is_the_same_tenant(web: Any) -> None:
    assert web.products("bravo-books.test") == web.products("bravo.shop.test")


def test_tenants_have_schemas_of_their_own(vps: Any) -> None:
    listed = vps.check_output(
        "docker exec shop-data-postgres-1 psql --username shop --dbname shop --no-align --tuples-only "
        "--command \"SELECT nspname FROM pg_namespace WHERE nspname LIKE 'tenant\\_%' ORDER BY 1\""
    )
    assert listed.split() == ["tenant_alpha", "tenant_bravo", "tenant_charlie"]
