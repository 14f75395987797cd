# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A real receiver over TLS that answers, refuses, breaks and hangs as it is told."""

from __future__ import annotations

import http.server
import json
import socket
import ssl
import struct
import threading
import time

import pytest

from ansible_collections.slipway.vps.plugins.module_utils.alerts.options import from_dict
from ansible_collections.slipway.vps.tests.unit.self_signed import self_signed


class Receiver(http.server.ThreadingHTTPServer):
    """`script` has what happens to the next requests, then every one is accepted."""

    daemon_threads = True
    request_queue_size = 50

    def __init__(self, directory=None):
        super().__init__(("127.0.0.1", 0), Handler)
        self.script = []
        self.received = []
        self.heads = []
        self.certificate = None
        if directory:
            self.certificate = _certificate(directory)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.certificate, directory / "key.pem")
            # In the handler's thread, not in the one that accepts: a broken handshake keeps nobody waiting.
            self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def handle_error(self, request, client_address):
        """A caller that goes away is what the tests are about."""

    @property
    def url(self):
        return (
            f"{'https' if self.certificate else 'http'}://localhost:{self.server_port}/hooks/SECRETPATH?key=SECRETKEY"
        )

    def webhook(self, **more):
        """As the configuration on a host describes it."""
        ca_file = {"ca_file": str(self.certificate)} if self.certificate else {}
        [hook] = from_dict({"webhooks": [{"url": self.url, "timeout": 2, "deadline": 10, **ca_file, **more}]}).webhooks
        return hook


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.heads.append((self.path, dict(self.headers)))
        step = self.server.script.pop(0) if self.server.script else 200
        if step == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            return
        if step == "hang":
            time.sleep(5)
            self.close_connection = True
            return
        if step == "drip":
            self._drip()
            return
        status, headers = step if isinstance(step, tuple) else (step, {})
        if 200 <= status < 300:
            self.server.received.append(json.loads(body))
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def _drip(self):
        """A byte now and then: never silent for as long as a socket's own limit."""
        self.close_connection = True
        for byte in b"HTTP/1.1 200 OK\r\nX-Slow: " + b"x" * 200:
            try:
                self.wfile.write(bytes([byte]))
            except OSError:
                return
            time.sleep(0.1)

    def log_message(self, *words):
        """Quiet."""


def _certificate(directory):
    path = directory / "cert.pem"
    self_signed(directory / "key.pem", path, "localhost")
    return path


@pytest.fixture
def serve(tmp_path):
    """Start receivers; with TLS unless told otherwise."""
    started = []

    def start(*, tls=True):
        place = tmp_path / f"receiver{len(started)}"
        place.mkdir()
        server = Receiver(place if tls else None)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        started.append((server, thread))
        return server

    yield start
    for server, thread in started:
        server.shutdown()
        thread.join()
        server.server_close()
