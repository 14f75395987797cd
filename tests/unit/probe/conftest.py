# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Real servers on this machine: HTTP, TLS with certificates of every kind, and servers that behave badly."""

from __future__ import annotations

import base64
import contextlib
import datetime
import hashlib
import http.server
import json
import shutil
import socket
import ssl
import subprocess
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ansible_collections.slipway.vps.plugins.module_utils.probe import engine
from ansible_collections.slipway.vps.tests.unit.postgres_server import postgres

__all__ = ["postgres"]

MAGIC = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


@pytest.fixture
def probe():
    """Run one probe and return its result."""

    def ask(**definition):
        definition.setdefault("name", "it")
        definition.setdefault("timeout", 3)
        return engine.check(engine.Request([definition])).probes[0]

    return ask


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.seen.append((self.path, dict(self.headers)))
        path = self.path.split("?")[0]
        if path == "/slow":
            time.sleep(0.3)
        if path == "/flaky":
            self.server.calls += 1
            return self._say(200 if self.server.calls % 3 == 0 else 503, {"status": "?"})
        if path.startswith("/redirect/"):
            return self._redirect(int(path.rsplit("/", 1)[1]))
        if path == "/elsewhere":
            return self._say(302, {}, Location=self.server.elsewhere)
        if path == "/broken":
            return self._say(500, {"error": "password=hunter22 refused"})
        if path == "/ws" and self.headers.get("Upgrade") == "websocket":
            return self._websocket()
        return self._say(
            200, {"status": "ok", "db": {"pools": [{"free": 3}]}, "host": self.headers["Host"], "path": self.path}
        )

    do_POST = do_GET

    def _redirect(self, left):
        where = f"/redirect/{left - 1}?token=hunter22" if left else "/"
        self._say(302, {}, Location=where)

    def _websocket(self):
        accept = hashlib.sha1((self.headers["Sec-WebSocket-Key"] + MAGIC).encode()).digest()
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", base64.b64encode(accept).decode())
        self.end_headers()

    def _say(self, status, document, **headers):
        body = json.dumps(document).encode()
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments):
        """Keep the test's output clean."""


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 256
    daemon_threads = True

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.seen = []
        self.calls = 0
        self.elsewhere = ""

    def handle_error(self, *_arguments):
        """A client that went away is part of the tests."""


@contextlib.contextmanager
def serve(context=None, place=("127.0.0.1", 0)):
    server = Server(place, Handler)
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(name="serving")
def _serving():
    return serve


@pytest.fixture
def web():
    with serve() as server:
        server.url = f"http://127.0.0.1:{server.server_port}"
        yield server


@contextlib.contextmanager
def raw_server(behaviour):
    """A TCP server that does with each connection what `behaviour` says."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    stop = threading.Event()
    threads = []

    def accept():
        while True:
            try:
                connection, _peer = listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=_quietly, args=(behaviour, connection, stop), daemon=True)
            thread.start()
            threads.append(thread)

    acceptor = threading.Thread(target=accept, daemon=True)
    acceptor.start()
    try:
        yield listener.getsockname()[1]
    finally:
        stop.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for thread in [acceptor, *threads]:
            thread.join(5)


def _quietly(behaviour, connection, stop):
    with connection, contextlib.suppress(OSError):
        behaviour(connection, stop)


def _hang(_connection, stop):
    stop.wait()


def _trickle(connection, stop):
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while not stop.wait(0.05):
        connection.sendall(b"x")


def _hang_up(connection, _stop):
    connection.recv(1024)


def _greet(connection, stop):
    connection.sendall(b"SSH-2.0-OpenSSH_9.9\r\n")
    stop.wait(1)


@pytest.fixture(name="raw_server", scope="session")
def _raw_server():
    return raw_server


@pytest.fixture
def hanging():
    with raw_server(_hang) as port:
        yield port


@pytest.fixture
def trickling():
    with raw_server(_trickle) as port:
        yield port


@pytest.fixture
def hanging_up():
    with raw_server(_hang_up) as port:
        yield port


@pytest.fixture
def greeting():
    with raw_server(_greet) as port:
        yield port


@pytest.fixture
def closed_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    return port


class Authority:
    """A CA that issues a certificate for a name and a time."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self._build("Test CA", self.key.public_key(), 3650, 0, ca=True)
        self.file = directory / "ca.pem"
        self.file.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str, days: float, *, started: float = 10, self_signed: bool = False) -> ssl.SSLContext:
        key = ec.generate_private_key(ec.SECP256R1())
        signer = key if self_signed else self.key
        certificate = self._build(name, key.public_key(), days, started, signer=signer, self_signed=self_signed)
        path = self.directory / f"{name}-{days}-{started}-{self_signed}.pem"
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        path.write_bytes(pem + certificate.public_bytes(serialization.Encoding.PEM))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context

    def _build(self, name, public_key, days, started, *, ca=False, signer=None, self_signed=False):
        now = datetime.datetime.now(datetime.timezone.utc)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        issuer = subject if ca or self_signed else self.certificate.subject
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=started))
            .not_valid_after(now + datetime.timedelta(days=days))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name.replace(" ", "-"))]), critical=False)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key((signer or self.key).public_key()), critical=False
            )
            .sign(signer or self.key, hashes.SHA256())
        )


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def secure_web(authority):
    """Start an HTTPS server with a certificate as described; returns its port."""
    with contextlib.ExitStack() as stack:

        def start(name="shop.test", days=90.0, **certificate):
            return stack.enter_context(serve(authority.issue(name, days, **certificate))).server_port

        yield start


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory):
    """A real Redis with a password, on a port of its own."""
    program = shutil.which("redis-server")
    if not program:
        pytest.skip("redis-server is not installed on this machine")
    directory = tmp_path_factory.mktemp("redis")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--requirepass", "redis-secret", "--dir", directory]
    process = subprocess.Popen([str(word) for word in command], stdout=subprocess.DEVNULL)
    try:
        wait_for_port(port)
        yield SimpleNamespace(port=port, password="redis-secret")
    finally:
        process.terminate()
        process.wait(10)


def wait_for_port(port: int, seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)
