# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What role nginx and the release engine write, in a real Nginx, asked by visitors who do not mean well."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.slipway.vps.plugins.module_utils.release import nginx as rendering
from ansible_collections.slipway.vps.plugins.module_utils.release.paths import StackPaths
from ansible_collections.slipway.vps.plugins.module_utils.release.spec import parse
from ansible_collections.slipway.vps.tests.unit.nginx_server import (
    BROTLI,
    PROGRAM,
    Application,
    Nginx,
    Role,
    exchange,
    world_readable,
)

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="no Nginx is installed here (Debian package nginx)")

HOST = "shop.test"
FORGED = {
    "X-Forwarded-For": "198.51.100.1",
    "X-Forwarded-Proto": "gopher",
    "X-Forwarded-Host": "evil.test",
    "X-Forwarded-Port": "1",
    "X-Real-IP": "198.51.100.1",
    "Forwarded": "for=198.51.100.1;host=evil.test",
    "X-Forwarded-Prefix": "/evil",
    "X-Forwarded-Ssl": "on-evil",
    "X-Original-URL": "/evil",
    "X-Request-ID": "evil",
    "Proxy": "http://evil.test/",
    "X_Forwarded_For": "198.51.100.1",
}
ROUTES = [
    {"name": "web", "service": "web", "port": 3000, "health": "/health"},
    {"name": "login", "service": "web", "port": 3000, "path": "/login", "rate_limit": "1r/s", "rate_burst": 2},
    {"name": "small", "service": "web", "port": 3000, "path": "/small", "max_body_size": "1k"},
    {"name": "inside", "service": "web", "port": 3000, "path": "/inside", "internal_paths": ["/inside/metrics"]},
    {"name": "client", "root": "web", "path": "/client", "fallback": "index.html"},
    {"name": "docs", "root": "docs", "path": "/docs"},
]
SITE = {"name": HOST, "server_names": [HOST], "include": f"/etc/nginx/slipway/stacks/shop/hosts/{HOST}[.]conf"}


@pytest.fixture(scope="module")
def application() -> Iterator[Application]:
    served = Application()
    yield served
    served.shutdown()
    served.server_close()


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="slipway-nginx-") as directory:
        world_readable(Path(directory))
        yield Path(directory)


def server(directory: Path, application: Application, **variables: Any) -> Nginx:
    """An Nginx with one site, whose routes lead to the application."""
    directory.mkdir(exist_ok=True)
    made = Nginx(directory, Role(**variables))
    request = {"stack": "shop", "domain": HOST, "compose": "services: {}", "release": "1", "routes": ROUTES}
    ports = {slot: {route["name"]: [application.port] for route in ROUTES} for slot in ("blue", "green")}
    for path, text in rendering.render(parse(request), StackPaths("shop"), ports).items():
        made.write(str(path).lstrip("/"), text)
    for slot in ("blue", "green"):
        for name in ("client", "docs"):
            made.write(f"srv/shop/static/{slot}/{name}/{name}/index.html", f"the {name} of {slot}")
    made.write("srv/shop/static/blue/client/client/assets/a.js", "script()")
    made.sites(SITE)
    made.write("var/www/slipway/maintenance.html", made.role.text("maintenance.html.j2"))
    return made


@pytest.fixture(scope="module")
def nginx(place: Path, application: Application) -> Iterator[Nginx]:
    """As the defaults have it, but with little patience."""
    made = server(place / "usual", application, nginx_client_header_timeout=2, nginx_client_body_timeout=2)
    made.start()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def behind_proxy(place: Path, application: Application) -> Iterator[Nginx]:
    """Loopback is the proxy in front."""
    made = server(place / "proxied", application, nginx_trusted_proxies=["127.0.0.0/8"])
    made.start()
    yield made
    made.stop()


def reached(nginx: Nginx, headers: dict[str, str], path: str = "/") -> dict[str, list[str]]:
    """The headers that the application was given, by their names in lower case."""
    status, _headers, body = nginx.ask(HOST, path, headers)
    assert status == 200
    return {name.lower(): values for name, values in json.loads(body)["headers"].items()}


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"nginx_trusted_proxies": ["10.0.0.0/8", "2001:db8::/32"], "nginx_ipv6": True},
        {"nginx_gzip": False, "nginx_brotli": False, "nginx_log_request_details": False, "nginx_hsts_max_age": 0},
        {
            "nginx_connections_per_address": 64,
            "nginx_security_headers": {"Content-Security-Policy": "default-src 'self'"},
        },
        {"nginx_http_extra": "map $host $mine {\n    default 1;\n}"},
    ],
    ids=["defaults", "proxies", "without", "limits", "extra"],
)
def test_every_switch_makes_a_configuration_without_a_complaint(
    place: Path, application: Application, variables: dict[str, Any], request: pytest.FixtureRequest
) -> None:
    said = server(place / request.node.callspec.id, application, **variables).check()
    assert said.returncode == 0, said.stderr
    complaints = [line for line in said.stderr.splitlines() if "[warn]" in line or "[emerg]" in line]
    assert complaints == []


UDP = [{"port": 80}, {"port": 443}, {"port": 443, "proto": "udp"}]


@pytest.mark.parametrize(
    ("release", "variables", "offered"),
    [
        ("trixie", {}, False),
        ("trixie", {"hardening_firewall_allow": UDP[:2]}, False),
        ("trixie", {"hardening_firewall_allow": UDP}, True),
        ("trixie", {"hardening_firewall_allow": UDP, "nginx_http3": "never"}, False),
        ("trixie", {"nginx_http3": "always"}, True),
        ("bookworm", {"hardening_firewall_allow": UDP}, False),
    ],
)
def test_http_3_is_offered_where_it_can_be_answered(release: str, variables: dict[str, Any], offered: bool) -> None:
    role = Role(ansible_facts={"distribution_release": release}, **variables)
    texts = [role.text("nginx.conf.j2"), role.text("sites.conf.j2", nginx_sites=[SITE])]
    assert [text.count("443 quic") for text in texts] == [int(offered)] * 2
    assert ("Alt-Svc" in role.text("headers.conf.j2")) == offered


# --- names


def test_a_name_of_no_site_gets_nothing_but_its_challenge(nginx: Nginx) -> None:
    with pytest.raises(ConnectionError):
        nginx.plain("stranger.test")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        nginx.connect("stranger.test")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        nginx.connect()
    nginx.write("var/www/letsencrypt/.well-known/acme-challenge/token", "answer")
    assert nginx.plain("stranger.test", "/.well-known/acme-challenge/token")[::2] == (200, b"answer")
    assert nginx.plain("stranger.test", "/.well-known/acme-challenge/")[0] == 404


def test_the_handshake_of_one_site_is_no_way_to_another_name(nginx: Nginx) -> None:
    """What a page of the distribution, or the first site, would answer otherwise."""
    with nginx.connect(HOST) as secure, pytest.raises(ConnectionError):
        exchange(secure, "stranger.test", "/")


def test_http_2_is_spoken(nginx: Nginx) -> None:
    with nginx.connect(HOST, protocols=["h2", "http/1.1"]) as secure:
        assert secure.selected_alpn_protocol() == "h2"


@pytest.mark.parametrize("tls", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_old_protocols_are_refused(nginx: Nginx, tls: ssl.TLSVersion) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning):
        context.minimum_version = context.maximum_version = tls
    with (
        socket.create_connection(("127.0.0.1", nginx.https), timeout=10) as plain,
        pytest.raises((ssl.SSLError, ConnectionError)),
    ):
        context.wrap_socket(plain, server_hostname=HOST)


# --- what is believed


def test_what_a_visitor_claims_never_reaches_the_application(nginx: Nginx) -> None:
    got = reached(nginx, FORGED)
    assert got["x-forwarded-for"] == got["x-real-ip"] == ["127.0.0.1"]
    assert got["x-forwarded-proto"] == ["https"]
    assert got["x-forwarded-host"] == got["host"] == [HOST]
    assert got["x-forwarded-port"] == [str(nginx.https)]
    assert not set(got) & {"forwarded", "x-forwarded-prefix", "x-forwarded-ssl", "x-original-url", "proxy"}
    assert "evil" not in json.dumps(got) and "198.51.100.1" not in json.dumps(got)


def test_nor_from_a_visitor_who_goes_past_the_proxy(place: Path, application: Application) -> None:
    made = server(place / "past", application, nginx_trusted_proxies=["192.0.2.1"])
    made.start()
    try:
        got = reached(made, FORGED)
    finally:
        made.stop()
    assert "evil" not in json.dumps(got) and "198.51.100.1" not in json.dumps(got)
    assert got["x-forwarded-proto"] == ["https"]


def test_what_a_named_proxy_says_does(behind_proxy: Nginx) -> None:
    got = reached(
        behind_proxy,
        {
            "X-Forwarded-For": "203.0.113.9, 198.51.100.7",
            "X-Forwarded-Proto": "http",
            "X-Forwarded-Host": "www.shop.test",
            "X-Forwarded-Port": "8443",
            "X-Forwarded-Prefix": "/shop",
            "Forwarded": "for=198.51.100.7",
        },
    )
    # The last one before the proxies is who asked it; what stands before that may be invented.
    assert got["x-forwarded-for"] == got["x-real-ip"] == ["198.51.100.7"]
    assert got["x-forwarded-proto"] == ["http"]
    assert got["x-forwarded-host"] == ["www.shop.test"]
    assert got["x-forwarded-port"] == ["8443"]
    assert (got["x-forwarded-prefix"], got["forwarded"]) == (["/shop"], ["for=198.51.100.7"])
    assert behind_proxy.access()[-1]["remote_addr"] == "198.51.100.7"


def test_a_named_proxy_need_not_say_anything(behind_proxy: Nginx) -> None:
    got = reached(behind_proxy, {"X-Forwarded-Proto": "gopher", "X-Forwarded-Host": "a b<c>"})
    assert (got["x-forwarded-for"], got["x-forwarded-proto"]) == (["127.0.0.1"], ["https"])
    assert got["x-forwarded-host"] in ([HOST], ["a"])


def test_only_websockets_are_upgraded(nginx: Nginx) -> None:
    assert "upgrade" not in reached(nginx, {"Upgrade": "h2c", "Connection": "Upgrade, HTTP2-Settings"}).get(
        "connection", []
    )


def test_the_request_id_is_the_same_in_the_log_and_for_the_application(nginx: Nginx) -> None:
    (identity,) = reached(nginx, {"User-Agent": 'quotes " and \\ slashes'})["x-request-id"]
    line = nginx.access()[-1]
    assert line["request_id"] == identity and len(identity) == 32
    assert line["user_agent"] == 'quotes " and \\ slashes'
    assert (line["status"], line["host"], line["method"]) == ("200", HOST, "GET")


# --- answers


def test_security_headers_unless_the_application_has_its_own(nginx: Nginx) -> None:
    _status, usual, _body = nginx.ask(HOST)
    assert usual["strict-transport-security"] == ["max-age=63072000; includeSubDomains"]
    assert usual["x-content-type-options"] == ["nosniff"]
    assert usual["x-frame-options"] == ["SAMEORIGIN"]
    assert usual["server"] == ["nginx"]
    _status, strict, _body = nginx.ask(HOST, "/strict")
    assert strict["x-frame-options"] == ["DENY"]
    assert "x-powered-by" not in strict


@pytest.mark.parametrize("coding", ["gzip", "br"])
def test_text_is_compressed(nginx: Nginx, coding: str) -> None:
    if coding == "br":
        assert BROTLI.exists(), "Debian package libnginx-mod-http-brotli-filter"
    status, headers, body = nginx.ask(HOST, "/long", {"Accept-Encoding": coding})
    assert (status, headers["content-encoding"]) == (200, [coding])
    assert len(body) < 500


# --- limits


def test_too_many_requests_of_one_route_are_told_so(nginx: Nginx) -> None:
    answers = [nginx.ask(HOST, "/login")[0] for _number in range(6)]
    assert answers[:3] == [200] * 3
    assert answers.count(429) >= 2
    # Another route of the same host is not meant.
    assert nginx.ask(HOST)[0] == 200


def test_a_body_beyond_the_route_s_limit_is_refused_before_the_application_sees_it(
    nginx: Nginx, application: Application
) -> None:
    assert nginx.ask(HOST, "/small", body=b"x" * 1000)[0] == 200
    seen = len(application.requests)
    assert nginx.ask(HOST, "/small", body=b"x" * 1100)[0] == 413
    assert len(application.requests) == seen
    assert nginx.ask(HOST, "/", body=b"x" * 100_000)[0] == 200
    assert nginx.ask(HOST, "/", {"Content-Length": str(11 << 20)})[0] == 413


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/", {"Cookie": "x" * 9000}, 400),
        ("/" + "x" * 9000, {}, 414),
        ("/", {f"X-{n}": "x" * 4000 for n in range(9)}, 400),
    ],
    ids=["one", "path", "many"],
)
def test_an_oversized_header_is_refused(nginx: Nginx, path: str, headers: dict[str, str], status: int) -> None:
    assert nginx.ask(HOST, path, headers)[0] == status


def drip(connection: socket.socket, text: bytes) -> float:
    """Send one byte after another, slowly; seconds until the other end has had enough."""
    started = time.monotonic()
    connection.settimeout(0.2)
    for byte in text:
        try:
            connection.sendall(bytes([byte]))
            if connection.recv(1000) == b"" or time.monotonic() > started + 20:
                break
        except TimeoutError:
            continue
        except OSError:
            break
    return time.monotonic() - started


def test_a_header_that_drips_in_is_cut(nginx: Nginx) -> None:
    lines = f"GET / HTTP/1.1\r\nHost: {HOST}\r\n".encode() + b"X-Slow: y\r\n" * 50
    with nginx.connect(HOST) as secure:
        assert 1.5 < drip(secure, lines) < 5
    with socket.create_connection(("127.0.0.1", nginx.http)) as connection:
        assert 1.5 < drip(connection, lines) < 5
    # One who says nothing at all, not even hello.
    with socket.create_connection(("127.0.0.1", nginx.https)) as connection:
        connection.settimeout(10)
        started = time.monotonic()
        with contextlib.suppress(ConnectionError):
            assert connection.recv(100) == b""
        assert 1.5 < time.monotonic() - started < 5


def test_a_body_that_stalls_is_cut_and_never_occupies_the_application(nginx: Nginx, application: Application) -> None:
    seen = len(application.requests)
    with nginx.connect(HOST) as secure:
        secure.sendall(f"POST / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 100\r\n\r\nhalf".encode())
        secure.settimeout(10)
        started = time.monotonic()
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            secure.recv(1000)
        assert 1.5 < time.monotonic() - started < 5
    assert len(application.requests) == seen


# --- size


def test_ten_thousand_names_load_and_reload_within_two_seconds(place: Path, application: Application) -> None:
    names = [f"tenant{number}.shop.test" for number in range(10_000)]
    made = server(place / "many", application)
    made.sites(SITE, {"name": "tenants", "server_names": names, "certificate_name": HOST})
    started = time.monotonic()
    said = made.check()
    loading = time.monotonic() - started
    assert said.returncode == 0, said.stderr
    assert "[warn]" not in said.stderr, said.stderr
    made.start()
    try:
        reloading = made.reload()
        assert made.plain("tenant9999.shop.test", "/x")[0] == 301
    finally:
        made.stop()
    assert loading < 2 and reloading < 2, (loading, reloading)


# Files, and what is for the host alone


@pytest.mark.parametrize("path", ["/client", "/client/", "/client/games/42", "/client/index.html"])
def test_a_folder_is_served_and_its_own_paths_are_the_page(nginx: Nginx, path: str) -> None:
    status, headers, body = nginx.ask(HOST, path)
    assert (status, body) == (200, b"the client of blue")
    assert headers["cache-control"] == ["no-cache"] and headers["content-type"] == ["text/html"]
    assert headers["x-content-type-options"] == ["nosniff"]


def test_a_file_has_its_type_and_one_that_is_not_there_is_404(nginx: Nginx) -> None:
    status, headers, body = nginx.ask(HOST, "/client/assets/a.js")
    assert (status, headers["content-type"], body) == (200, ["application/javascript"], b"script()")
    assert nginx.ask(HOST, "/docs/")[2] == b"the docs of blue"
    assert nginx.ask(HOST, "/docs/gone")[0] == 404
    # Outside of all folders, whatever the spelling.
    for path in ("/docs/../../../state.json", "/%2e%2e/%2e%2e/state.json"):
        assert nginx.ask(HOST, path)[0] == 400


def test_files_change_over_by_the_flag(nginx: Nginx) -> None:
    flag = nginx.directory / "srv/shop/slot.green"
    flag.touch()
    try:
        assert nginx.ask(HOST, "/client/")[2] == b"the client of green"
    finally:
        flag.unlink()
    assert nginx.ask(HOST, "/client/")[2] == b"the client of blue"


def test_files_are_served_while_connections_are_closed_for_a_reload(nginx: Nginx) -> None:
    mark = nginx.directory / "run/slipway-nginx-closing"
    mark.touch()
    try:
        for path, body in (("/client/games/42", b"the client of blue"), ("/docs/", b"the docs of blue")):
            status, headers, found = nginx.ask(HOST, path)
            assert (status, found, headers["connection"]) == (200, body, ["close"])
        assert nginx.ask(HOST, "/docs/gone")[0] == 404
    finally:
        mark.unlink()


def test_an_internal_path_is_answered_to_the_host_alone(nginx: Nginx, behind_proxy: Nginx) -> None:
    stranger = {"X-Forwarded-For": "198.51.100.7"}
    for path in ("/inside/metrics", "/inside/metrics/more"):
        assert nginx.ask(HOST, path)[0] == 200
        # What a visitor claims makes nobody the host, and a proxy that is believed says who asks.
        assert behind_proxy.ask(HOST, path, stranger)[0] == 403
    assert behind_proxy.ask(HOST, "/inside", stranger)[0] == 200
