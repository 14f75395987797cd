# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What Nginx lets through to an application, from a route in the inventory to a container: an echo beside the shop."""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from slipway_lab import LAB, Answer, Server
from slipway_shop import Shop

ECHO = """
import http.server, json
class Echo(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        asked = {name.lower(): self.headers.get_all(name) for name in set(self.headers.keys())}
        body = json.dumps(asked).encode().ljust(4000)
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Powered-By", "echo")
        if self.path.endswith("/strict"):
            self.send_header("X-Frame-Options", "DENY")
        self.end_headers()
        self.wfile.write(body)
    do_POST = do_GET
    def log_message(self, text, *values):
        print(json.dumps({"request_id": self.headers.get("X-Request-ID", "")}), flush=True)
http.server.ThreadingHTTPServer(("0.0.0.0", 8090), Echo).serve_forever()
"""
HEALTH = "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8090/')"
ACCESS_LOG = "/var/log/nginx/access.log"
CHALLENGES = "/var/www/letsencrypt/.well-known/acme-challenge"
HEADER_TIMEOUT = 15
MANY = 10_000
OWN = "molecule/releases/own_site.yml"
FORGED = {
    "X-Forwarded-For": "198.51.100.1",
    "X-Forwarded-Proto": "gopher",
    "X-Forwarded-Host": "evil.test",
    "X-Forwarded-Prefix": "/evil",
    "X-Real-IP": "198.51.100.1",
    "Forwarded": "for=198.51.100.1;host=evil.test",
    "X-Request-ID": "evil",
}


class Edge:
    """The echo behind the host of the API, below a path of its own."""

    def __init__(self, server: Server, shop: Shop) -> None:
        self.server = server
        self.shop = shop
        self.host = f"api.{server.zone}"

    def ask(self, path: str = "/echo", **more: Any) -> Answer:
        return self.server.web.ask(self.host, path, **more)

    def reached(self, **headers: str) -> dict[str, list[str]]:
        """The headers that came through to the container."""
        answer = self.ask(headers=headers)
        assert answer.status == 200, answer.text
        return dict(answer.json())

    def connect(self, name: str = "", protocols: tuple[str, ...] = ()) -> ssl.SSLSocket:
        context = ssl.create_default_context(cafile=str(LAB / "acme-root.pem"))
        if protocols:
            context.set_alpn_protocols([*protocols])
        plain = socket.create_connection((self.server.address, 443), timeout=60)
        return context.wrap_socket(plain, server_hostname=name or self.host)

    def logged(self, identity: str) -> dict[str, Any]:
        found = self.server.vps.check_output(f"grep --fixed-strings {identity} {ACCESS_LOG}")
        return dict(json.loads(found.splitlines()[-1]))


@pytest.fixture(scope="module")
def edge(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    shop = Shop(server, tmp_path_factory.mktemp("edge"))
    health = {"test": ["CMD", "python3", "-c", HEALTH], "interval": "5s", "start_interval": "1s", "start_period": "30s"}
    image = shop.compose["services"]["web"]["image"]
    shop.compose["services"]["echo"] = {
        "image": image,
        "entrypoint": ["python3", "-c", ECHO],
        "command": [],
        "networks": ["frontend"],
        "healthcheck": health,
    }
    echo = {"service": "echo", "port": 8090, "host": f"api.{server.zone}"}
    routes = [*shop.variables["stack_routes"]]
    routes += [
        {**echo, "name": "echo", "path": "/echo", "health": "/echo/health"},
        {
            **echo,
            "name": "limited",
            "path": "/limited",
            "health": "/limited/health",
            "rate_limit": "1r/s",
            "rate_burst": 3,
        },
        {**echo, "name": "small", "path": "/small", "health": "/small/health", "max_body_size": "4k"},
    ]
    plain = shop.variables["stack_routes"]
    shop.set(stack_routes=routes)
    shop.deploy("1.0.0")
    yield Edge(server, shop)
    del shop.compose["services"]["echo"]
    shop.set(stack_routes=plain)
    shop.deploy("1.0.0")


# --- who is let in


def test_an_unknown_name_gets_nothing_but_its_challenge(edge: Edge) -> None:
    web = edge.server.web
    with pytest.raises(ConnectionError):
        web.plain("stranger.test")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        web.ask("stranger.test")
    edge.server.vps.check_output(f"echo -n answer > {CHALLENGES}/edge-test")
    try:
        assert web.plain("stranger.test", "/.well-known/acme-challenge/edge-test").text == "answer"
        assert web.plain("stranger.test", "/.well-known/acme-challenge/").status == 404
    finally:
        edge.server.vps.check_output(f"rm {CHALLENGES}/edge-test")
    # Nor by the handshake of a site that is there.
    with edge.connect() as secure:
        secure.sendall(b"GET / HTTP/1.1\r\nHost: stranger.test\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            assert secure.recv(100) == b""


def test_http_2_and_only_protocols_of_today(edge: Edge) -> None:
    with edge.connect(protocols=("h2", "http/1.1")) as secure:
        assert secure.selected_alpn_protocol() == "h2"
        assert secure.version() == "TLSv1.3"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    plain = socket.create_connection((edge.server.address, 443), timeout=20)
    with plain, pytest.raises((ssl.SSLError, ConnectionError)):
        context.wrap_socket(plain, server_hostname=edge.host)


# --- what is believed


def test_what_a_visitor_claims_does_not_reach_the_application(edge: Edge) -> None:
    got = edge.reached(**FORGED)
    # The outer machine's address in the lab's network.
    (address,) = got["x-forwarded-for"]
    assert address.startswith("10.77.0.") and got["x-real-ip"] == [address]
    assert got["x-forwarded-proto"] == ["https"]
    assert got["x-forwarded-host"] == got["host"] == [edge.host]
    assert "evil" not in json.dumps(got) and "198.51.100.1" not in json.dumps(got)
    assert edge.logged(got["x-request-id"][0])["remote_addr"] == address


@pytest.mark.long
def test_what_a_named_proxy_says_does(edge: Edge) -> None:
    """Until the role is run without it, this machine is a load balancer in front."""
    harmless = ("--tags", "nginx", "--skip-tags", "nginx_install")
    edge.server.playbook("site", *harmless, "-e", '{"nginx_trusted_proxies": ["10.77.0.0/24"]}')
    try:
        time.sleep(1)
        headers = {"X-Forwarded-For": "203.0.113.9, 198.51.100.7", "X-Forwarded-Host": "www.shop.test"}
        got = edge.reached(**headers, **{"X-Forwarded-Proto": "http", "X-Forwarded-Prefix": "/shop"})
    finally:
        edge.server.playbook("site", *harmless)
    assert got["x-forwarded-for"] == got["x-real-ip"] == ["198.51.100.7"]
    assert (got["x-forwarded-proto"], got["x-forwarded-host"]) == (["http"], ["www.shop.test"])
    assert got["x-forwarded-prefix"] == ["/shop"]
    assert edge.logged(got["x-request-id"][0])["remote_addr"] == "198.51.100.7"


def test_one_request_has_one_id_in_both_logs(edge: Edge) -> None:
    (identity,) = edge.reached()["x-request-id"]
    line = edge.logged(identity)
    assert (line["host"], line["uri"], line["status"], line["method"]) == (edge.host, "/echo", "200", "GET")
    assert float(line["upstream_time"]) <= float(line["request_time"]) + 0.01
    (container,) = edge.shop.containers("echo")
    said = edge.server.vps.check_output(f"docker logs --tail 50 {container['Id']}")
    assert json.dumps({"request_id": identity}) in said


# --- answers


def test_security_headers_and_compression(edge: Edge) -> None:
    usual = edge.ask(headers={"Accept-Encoding": "gzip"})
    assert usual.headers["strict-transport-security"] == "max-age=63072000; includeSubDomains"
    assert usual.headers["x-content-type-options"] == "nosniff"
    assert usual.headers["x-frame-options"] == "SAMEORIGIN"
    assert "x-powered-by" not in usual.headers and usual.headers["server"] == "nginx"
    assert usual.headers["content-encoding"] == "gzip" and len(usual.body) < 2000
    assert edge.ask("/echo/strict").headers["x-frame-options"] == "DENY"
    assert edge.ask(headers={"Accept-Encoding": "br"}).headers["content-encoding"] == "br"


# --- limits


def test_too_many_requests_of_a_route_are_told_so_and_of_no_other(edge: Edge) -> None:
    answers = [edge.ask("/limited").status for _number in range(12)]
    assert answers[:4] == [200] * 4
    assert set(answers[4:]) >= {429} and set(answers) <= {200, 429}
    assert {edge.ask().status for _number in range(12)} == {200}
    # What keeps an eye on the route is not held up.
    assert {edge.ask("/limited/health").status for _number in range(8)} == {200}


def test_a_body_beyond_a_limit_is_refused(edge: Edge) -> None:
    def post(path: str, size: int) -> int:
        return edge.ask(path, method="POST", body=b"x" * size).status

    assert (post("/small", 4000), post("/small", 4200)) == (200, 413)
    # A route without one has that of the host.
    assert post("/echo", 100_000) == 200
    declared = {"Content-Length": str(11 << 20)}
    assert edge.ask("/echo", method="POST", body=b"", headers=declared).status == 413


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [("/echo", {"Cookie": "x" * 9000}, {400, 431}), ("/echo/" + "x" * 9000, {}, {414})],
    ids=["header", "path"],
)
def test_an_oversized_header_is_refused(edge: Edge, path: str, headers: dict[str, str], status: set[int]) -> None:
    assert edge.ask(path, headers=headers).status in status


def drip(connection: socket.socket, text: bytes) -> float:
    """One byte a second; how long the other end bears it."""
    started = time.monotonic()
    connection.settimeout(1)
    with connection, contextlib.suppress(ConnectionError, ssl.SSLError):
        for byte in text:
            try:
                connection.sendall(bytes([byte]))
                if not connection.recv(1000):
                    break
            except TimeoutError:
                continue
    return time.monotonic() - started


def silent(connection: socket.socket) -> float:
    started = time.monotonic()
    connection.settimeout(60)
    with connection, contextlib.suppress(ConnectionError, ssl.SSLError):
        connection.recv(1000)
    return time.monotonic() - started


def test_slow_visitors_are_cut_and_the_others_served(edge: Edge) -> None:
    head = f"GET /echo HTTP/1.1\r\nHost: {edge.host}\r\nX-Slow: {'y' * 200}\r\n".encode()
    dripping = [edge.connect() for _number in range(30)]
    dripping += [socket.create_connection((edge.server.address, port)) for port in (80, 80)]
    mute = [socket.create_connection((edge.server.address, port)) for port in (80, 443)]
    with concurrent.futures.ThreadPoolExecutor(40) as pool:
        ends = [pool.submit(drip, connection, head) for connection in dripping]
        ends += [pool.submit(silent, connection) for connection in mute]
        while not all(end.done() for end in ends):
            started = time.monotonic()
            assert edge.ask().status == 200
            assert time.monotonic() - started < 3
            time.sleep(0.5)
        seconds = [end.result() for end in ends]
    assert min(seconds) > HEADER_TIMEOUT - 2 and max(seconds) < HEADER_TIMEOUT + 5, seconds


# --- size


@pytest.mark.long
def test_ten_thousand_names_load_and_reload_within_two_seconds(edge: Edge, tmp_path: Path) -> None:
    vps, zone = edge.server.vps, f"{edge.server.name}.wild.test"
    # With the shop's certificate: what counts is the number of names.
    site = {"name": "many", "certificate_name": "shop", "server_names": [f"n{number}.{zone}" for number in range(MANY)]}
    variables = tmp_path / "variables.json"
    variables.write_text(json.dumps({"own_certificates": [], "own_sites": [site]}), encoding="utf-8")
    edge.server.playbook(OWN, "-e", f"@{variables}")
    try:
        program = (
            "import subprocess, time\n"
            "def youngest(): return set(subprocess.run(['pgrep', '--full', 'nginx: worker process$'],"
            " capture_output=True, text=True).stdout.split())\n"
            "began = time.monotonic(); subprocess.run(['nginx', '-t', '-q'], check=True)\n"
            "checked = time.monotonic(); before = youngest(); subprocess.run(['nginx', '-s', 'reload'], check=True)\n"
            "while not youngest() - before: time.sleep(0.01)\n"
            "print(checked - began, time.monotonic() - checked)"
        )
        loading, reloading = map(float, vps.check_output("python3 -c %s", program).split())
        assert edge.server.web.plain(f"n{MANY - 1}.{zone}").status == 301
    finally:
        edge.server.playbook(OWN, "-e", '{"own_certificates": [], "own_sites": []}')
    assert loading < 2 and reloading < 2, (loading, reloading)


@pytest.mark.long
def test_http_3_where_the_firewall_is_open_for_it(edge: Edge) -> None:
    """Asked by curl on the server itself, because it comes with QUIC there."""
    vps = edge.server.vps
    vps.check_output("apt-get update -qq && apt-get install -y -qq --no-install-recommends curl")
    ask = (
        f"curl --silent --show-error --insecure --http3-only --max-time 10 --resolve {edge.host}:443:127.0.0.1"
        f" --output /dev/null --write-out '%{{http_version}} %{{http_code}}' https://{edge.host}/version"
    )
    assert vps.run(ask).rc != 0
    ports = [{"port": 80}, {"port": 443}, {"port": 443, "proto": "udp", "comment": "HTTP/3"}]
    opened = json.dumps({"hardening_firewall_allow": ports})
    rest = ("--skip-tags", "docker,backup")
    edge.server.playbook("site", "-e", opened, *rest)
    try:
        assert vps.check_output(ask) == "3 200"
        assert edge.ask().headers["alt-svc"] == 'h3=":443"; ma=86400'
        assert "443/udp" in vps.check_output("ufw status")
        assert edge.server.playbook("site", "-e", opened, *rest).changed == {edge.server.name: 0}
    finally:
        edge.server.playbook("site", *rest)
    assert "alt-svc" not in edge.ask().headers
    assert vps.run(ask).rc != 0
