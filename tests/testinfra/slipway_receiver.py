# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A receiver of webhooks on the host itself, so that a test sees what was told."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

PORT = 18099
URL = f"http://127.0.0.1:{PORT}/"
UNIT = "slipway-test-receiver"
RECEIVED = "/run/slipway-test-received"
# Each body in a line of a file.
PROGRAM = f"""
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        open("{RECEIVED}", "ab").write(body + b"\\n")
        self.send_response(204)
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", {PORT}), Handler).serve_forever()
"""


@contextmanager
def receiver(vps: Any) -> Iterator[Callable[[], list[tuple[str, str]]]]:
    """What it was told so far, as (status, key)."""
    vps.check_output(f"systemd-run --unit={UNIT} python3 -c {shlex.quote(PROGRAM)}")
    vps.check_output(f"touch {RECEIVED}")

    def heard() -> list[tuple[str, str]]:
        lines = [json.loads(line) for line in vps.check_output(f"cat {RECEIVED}").splitlines()]
        return [(one["status"], one["key"]) for one in lines]

    try:
        yield heard
    finally:
        vps.run(f"systemctl stop {UNIT}; rm -f {RECEIVED}")
