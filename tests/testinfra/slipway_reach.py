# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is reached from where: ports from outside, paths and addresses from the host itself and from its containers."""

from __future__ import annotations

import json
import shlex
import socket
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from slipway_lab import Server

ASK = """
import http.client, socket, ssl, sys
context = ssl._create_unverified_context()
for host, path in (pair.split("=", 1) for pair in sys.argv[1:]):
    connection = http.client.HTTPSConnection(host, timeout=5, context=context)
    connection.sock = context.wrap_socket(socket.create_connection(("127.0.0.1", 443), 5), server_hostname=host)
    connection.request("GET", path)
    answer = connection.getresponse()
    print(answer.status, answer.read(65536).decode(errors="replace").replace("\\n", " "))
"""
KNOCK = """
import json, socket, sys
def answers(target):
    host, port = target.rsplit(":", 1)
    try:
        socket.create_connection((host, int(port)), 2).close()
        return True
    except OSError:
        return False
print(json.dumps({target: answers(target) for target in sys.argv[1:]}))
"""


def open_ports(server: Server, ports: Iterable[int]) -> list[int]:
    """Those that take a connection from outside."""

    def answers(port: int) -> bool:
        try:
            with socket.create_connection((server.address, port), timeout=2):
                return True
        except OSError:
            return False

    asked = list(ports)
    with ThreadPoolExecutor(len(asked)) as pool:
        return [port for port, yes in zip(asked, pool.map(answers, asked), strict=True) if yes]


def asked_on_the_host(server: Server, *pairs: tuple[str, str]) -> list[tuple[int, str]]:
    """What Nginx answers to the host itself, for each host name and path."""
    words = shlex.join(["python3", "-c", ASK, *(f"{host}={path}" for host, path in pairs)])
    lines = str(server.vps.check_output(words)).splitlines()
    return [(int(status), body) for status, _space, body in (line.partition(" ") for line in lines)]


def reached_from(server: Server, docker: str, *targets: str) -> dict[str, bool]:
    """Which of the targets (`name:port`) take a connection; `docker` is how a container is entered or started."""
    found: dict[str, bool] = json.loads(
        server.vps.check_output(f"docker {docker} {shlex.join(['-c', KNOCK, *targets])}")
    )
    return found


def environment(container: dict[str, Any]) -> dict[str, str]:
    """Of a container as inspected."""
    return dict(entry.split("=", 1) for entry in container["Config"]["Env"])
