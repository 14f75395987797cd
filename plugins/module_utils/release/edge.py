# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Nginx on this host: files put in place and proved, the flag that moves the traffic, and the proof that it moved."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..common.errors import SlipwayError
from ..common.files import remove, touch, write_atomic
from ..common.process import CommandError, run
from . import nginx
from .health import BODY_BYTES, OK_BELOW
from .paths import StackPaths
from .spec import Route

READ_BACKS = 5
READ_BACK_SECONDS = 10.0
POLL_SECONDS = 0.1
REQUEST_SECONDS = 5.0
HTTPS = 443


@dataclass(frozen=True)
class Reply:
    """What Nginx answered on a fresh connection."""

    status: int
    headers: Mapping[str, str]
    body: str


class _Loopback(http.client.HTTPSConnection):
    """HTTPS to this host's own Nginx, asking for a host by name."""

    def connect(self) -> None:
        plain = socket.create_connection(("127.0.0.1", HTTPS), timeout=self.timeout)
        # We talk to ourselves over loopback and ask which release serves; whether the certificate is trusted is the
        # business of the probes, and a release must not depend on the clock of a certificate authority.
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        self.sock = context.wrap_socket(plain, server_hostname=self.host)


def fetch(host: str, path: str) -> Reply:
    """One request over a fresh connection; status 0 if there is no answer."""
    connection = _Loopback(host, timeout=REQUEST_SECONDS)
    try:
        connection.request("GET", path, headers={"Connection": "close", "User-Agent": "slipway-probe"})
        response = connection.getresponse()
        headers = {name.lower(): value for name, value in response.getheaders()}
        return Reply(response.status, headers, response.read(BODY_BYTES).decode(errors="replace"))
    except (OSError, http.client.HTTPException) as error:
        return Reply(0, {}, f"{type(error).__name__}: {error}")
    finally:
        connection.close()


def current(paths: StackPaths) -> dict[Path, str]:
    """The stack's files as they are."""
    found = [paths.nginx / "upstreams.conf", *sorted((paths.nginx / "hosts").glob("*.conf"))]
    return {path: path.read_text(encoding="utf-8") for path in found if path.exists()}


def check() -> None:
    """`nginx -t`, or a sentence."""
    try:
        run(["nginx", "-t"], timeout=30)
    except CommandError as error:
        reason = error.result.stderr.strip() if error.result else error.message
        raise SlipwayError(f"Nginx refuses its configuration: {reason}", hint="See it again with: nginx -t") from error


def apply(paths: StackPaths, wanted: Mapping[Path, str], hosts: Sequence[str]) -> bool:
    """Put the files in place, reload, and prove that they are loaded; on failure the old ones are back."""
    before = current(paths)
    # Whoever was here before may have been cut off between the files and the reload.
    if before == dict(wanted) and loaded(hosts, nginx.config_of(wanted)):
        return False
    _ready(paths)
    _write(before, wanted)
    try:
        check()
        reload()
        prove(hosts, nginx.config_of(wanted))
    except SlipwayError:
        _write(wanted, before)
        reload()
        raise
    return True


def _ready(paths: StackPaths) -> None:
    (paths.nginx / "hosts").mkdir(parents=True, exist_ok=True)
    write_atomic(paths.loaded, "The header X-Slipway-Config names the configuration that Nginx has loaded.\n")


def _write(before: Mapping[Path, str], after: Mapping[Path, str]) -> None:
    for path, text in after.items():
        write_atomic(path, text)
    for path in before:
        if path not in after:
            remove(path)


def reload() -> None:
    try:
        run(["nginx", "-s", "reload"], timeout=30)
    except CommandError as error:
        raise SlipwayError(
            f"Nginx could not be told to reload: {error.message}", hint="Look at it with: systemctl status nginx"
        ) from error


def loaded(hosts: Sequence[str], mark: str) -> bool:
    """Whether Nginx answers with this configuration already."""
    return not mark or all(_names(fetch(host, nginx.CONFIG_PATH), mark) for host in hosts)


def _names(reply: Reply, mark: str) -> bool:
    return reply.headers.get(nginx.CONFIG_HEADER.lower()) == mark


def prove(hosts: Sequence[str], mark: str) -> None:
    """A reload returns before it is done, and may fail with status 0: only what Nginx answers counts."""
    if not mark:
        return
    for host in hosts:
        _agree(
            host,
            nginx.CONFIG_PATH,
            lambda reply: _names(reply, mark),
            f"Nginx does not serve the new configuration for {host}",
            "Read its error log with: journalctl -u nginx ; tail /var/log/nginx/error.log. "
            "The server block of the host comes from role slipway.vps.nginx (role stack includes it).",
        )


def serve(paths: StackPaths, slot: str, number: int, name: str) -> None:
    """Move the traffic: the slot says what it is, then the flag names the slot."""
    write_slot_text(paths, slot, number, name)
    set_flag(paths, slot)


def write_slot_text(paths: StackPaths, slot: str, number: int, name: str) -> bool:
    paths.slot_text(slot).parent.mkdir(parents=True, exist_ok=True)
    return write_atomic(paths.slot_text(slot), slot_text(slot, number, name))


def slot_text(slot: str, number: int, name: str) -> str:
    return json.dumps({"release": number, "name": name, "slot": slot}, sort_keys=True) + "\n"


def set_flag(paths: StackPaths, slot: str) -> bool:
    return touch(paths.flag) if slot == "green" else remove(paths.flag)


def flagged(paths: StackPaths) -> str:
    return "green" if paths.flag.exists() else "blue"


def read_back(hosts: Sequence[str], slot: str, number: int) -> None:
    """Fresh connections to every host must all say that this release serves."""
    for host in hosts:
        _agree(
            host,
            nginx.RELEASE_PATH,
            lambda reply: _says(reply, slot, number),
            f"Nginx does not say for {host} that release number {number} in slot {slot} serves",
            "Look at the flag slot.green of the stack and at: journalctl -u nginx",
        )


def _says(reply: Reply, slot: str, number: int) -> bool:
    try:
        said: Any = json.loads(reply.body)
    except ValueError:
        return False
    return reply.status == 200 and said.get("release") == number and said.get("slot") == slot


def _agree(host: str, path: str, good: Any, complaint: str, hint: str) -> None:
    deadline = time.monotonic() + READ_BACK_SECONDS
    in_row = 0
    while in_row < READ_BACKS:
        reply = fetch(host, path)
        in_row = in_row + 1 if good(reply) else 0
        if in_row == 0:
            if time.monotonic() >= deadline:
                said = f"status {reply.status}" if reply.status else "no answer"
                raise SlipwayError(
                    f"{complaint}: {said}, {' '.join(reply.body.split())[:200]!r}.",
                    hint=hint,
                    details={"probe": {"address": f"https://{host}{path}", "status": reply.status, "body": reply.body}},
                )
            time.sleep(POLL_SECONDS)


def sick_route(routes: Sequence[Route], hosts: Sequence[str]) -> str:
    """The first route that does not answer well through Nginx, as a sentence; empty if all do."""
    for route in routes:
        if route.host not in hosts:
            continue
        reply = fetch(route.host, route.health)
        if not 200 <= reply.status < OK_BELOW:
            body = " ".join(reply.body.split())[:300]
            return f"https://{route.host}{route.health} answers with status {reply.status}: {body!r}"
    return ""
