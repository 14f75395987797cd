# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Between the S3 client and a real S3 server, over TLS: a proxy that breaks chosen requests in chosen ways."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import socket
import ssl
import struct
import threading
import time
from dataclasses import dataclass

SLOW_DOWN = (
    b"<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
)
DENIED = b"<?xml version='1.0'?><Error><Code>AccessDenied</Code><Message>Access Denied.</Message></Error>"
NO_UPLOAD = b"<?xml version='1.0'?><Error><Code>NoSuchUpload</Code><Message>No such upload.</Message></Error>"
HOP = {"connection", "keep-alive", "transfer-encoding", "expect", "content-length"}
PIECE = 64 * 1024

# What can happen to a request. Of those that are `forwarded` the server does the work and only its word is lost.
FAULTS = (
    "reset",  # before anything was read
    "reset_sending",  # in the middle of what is sent; the server gets nothing
    "cut_sending",  # the server gets half of what is sent
    "slow_down",  # 503
    "internal",  # 500
    "stall",  # silence for longer than the client waits; the server gets nothing
    "answer_lost",  # forwarded, then the connection is reset
    "answer_late",  # forwarded, then silence
    "cut_answer",  # half of the answer's body, then the end
    "reset_answer",  # half of the answer's body, then a reset
)


@dataclass
class Fault:
    """Breaks `count` requests that have these words, beginning with the one of number `after` from now on."""

    kind: str
    after: int = 0
    count: int = 1
    words: str = ""
    hits: int = 0

    def applies(self, request):
        if not all(word in request for word in self.words.split()):
            return False
        if self.after > 0:
            self.after -= 1
            return False
        if self.hits >= self.count:
            return False
        self.hits += 1
        return True


class FaultProxy(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 100

    def __init__(self, s3, stall=2.0):
        super().__init__(("127.0.0.1", 0), Handler)
        self.upstream = s3.ports[3]
        self.stall = stall
        self.fault = None
        # Words of a request that the key may not do, such as ("DELETE",).
        self.forbidden = ()
        # A server that knows an upload no more once it is completed (some are asked twice and say the same twice).
        self.forgetful = False
        self.completed = set()
        # The server's clock, when it is another one.
        self.date = ""
        self.requests = 0
        self.broken = []
        self.lock = threading.Lock()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(s3.certificate, s3.directory / "key.pem")
        self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        self.thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self.thread.start()

    @property
    def endpoint(self):
        return f"https://localhost:{self.server_port}"

    def close(self):
        self.shutdown()
        self.thread.join()
        self.server_close()

    def arm(self, kind, after=0, count=1, words=""):
        with self.lock:
            self.fault = Fault(kind, after, count, words)
            return self.fault

    def disarm(self):
        """No more faults; whether the last one hit anything."""
        with self.lock:
            hits, self.fault = (self.fault.hits if self.fault else 0), None
            return hits

    def next_fault(self, words):
        with self.lock:
            self.requests += 1
            if self.fault and self.fault.applies(words):
                self.broken.append((self.fault.kind, words))
                return self.fault.kind
            return ""

    def handle_error(self, request, client_address):
        """Broken connections are what this is for."""


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _handle(self):
        fault = self.server.next_fault(f"{self.command} {self.path}")
        length = int(self.headers.get("Content-Length") or 0)
        if fault == "reset":
            return self._reset()
        if fault == "reset_sending":
            self._take(length // 2)
            return self._reset()
        if fault == "stall":
            time.sleep(self.server.stall)
            return self._reset()
        data = self._take(length)
        if any(word in f"{self.command} {self.path}" for word in self.server.forbidden):
            return self._answer(403, [], DENIED)
        if self._is_forgotten():
            return self._answer(404, [], NO_UPLOAD)
        if fault in ("slow_down", "internal"):
            return self._answer(503 if fault == "slow_down" else 500, [], SLOW_DOWN)
        if fault == "cut_sending":
            self._forward(data[: length // 2], length)
            return self._reset()
        status, headers, body = self._forward(data, length)
        if fault == "answer_late":
            time.sleep(self.server.stall)
        if fault in ("answer_lost", "answer_late"):
            return self._reset()
        return self._answer(status, headers, body, fault)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _handle

    def _is_forgotten(self):
        if not self.server.forgetful or self.command != "POST" or "uploadId=" not in self.path:
            return False
        known = self.path in self.server.completed
        self.server.completed.add(self.path)
        return known

    def _take(self, count):
        """So much of the request's body."""
        found = bytearray()
        while len(found) < count:
            piece = self.rfile.read(min(PIECE, count - len(found)))
            if not piece:
                break
            found += piece
        return bytes(found)

    def _forward(self, data, length):
        upstream = http.client.HTTPConnection("127.0.0.1", self.server.upstream, timeout=60)
        try:
            upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in HOP:
                    upstream.putheader(name, value)
            if length or "Content-Length" in self.headers:
                upstream.putheader("Content-Length", str(length))
            upstream.endheaders(data or None)
            if len(data) < length:
                return 0, [], b""
            answer = upstream.getresponse()
            body = answer.read()
            return answer.status, answer.getheaders(), body
        finally:
            upstream.close()

    def _answer(self, status, headers, body, fault=""):
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in HOP:
                self.send_header(name, self.server.date if self.server.date and name.lower() == "date" else value)
        known = {name.lower(): value for name, value in headers}
        # What HEAD answers has a length and no body.
        self.send_header(
            "Content-Length", known.get("content-length", "0") if self.command == "HEAD" else str(len(body))
        )
        self.end_headers()
        if self.command == "HEAD":
            if fault:
                self._reset()
            return
        if fault:
            self.wfile.write(body[: len(body) // 2])
            self.wfile.flush()
            if fault == "reset_answer":
                self._reset()
            self.close_connection = True
            return
        self.wfile.write(body)

    def _reset(self):
        """RST instead of a farewell."""
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def finish(self):
        with contextlib.suppress(OSError):
            super().finish()

    def log_message(self, *words):
        """Quiet."""
