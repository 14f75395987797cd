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
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..common.errors import SlipwayError
from ..common.files import remove, touch, write_atomic
from ..common.process import CommandError, run
from . import nginx
from .expectation import Expectation
from .health import Answer, answer
from .paths import StackPaths

SITES = Path("/etc/nginx/slipway/sites")
ERROR_LOG = Path("/var/log/nginx/error.log")
LOG_BYTES = 1 << 20
OK = 200
READ_BACKS = 5
READ_BACK_SECONDS = 10.0
POLL_SECONDS = 0.1
REQUEST_SECONDS = 5.0
HTTPS = 443
# Connections that are used more rarely than this are not waited for before a reload.
CLOSING_SECONDS = 3.0
# Nginx's reload returns before the workers have changed.
CHANGING_SECONDS = 1.0
VISITORS = ["ss", "-Htn", "state", "established", "( sport = :80 or sport = :443 )"]


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


def fetch(host: str, wanted: Expectation) -> Answer:
    """One request over a fresh connection, on the way that visitors take."""
    connection = _Loopback(host, timeout=REQUEST_SECONDS)
    return answer(connection, f"https://{host}{wanted.path}", wanted, {})


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
    remove(nginx.CLOSING)  # whoever was killed in the middle of a reload has left it
    before = current(paths)
    mark = nginx.config_of(wanted)
    if before == dict(wanted):
        # Whoever was here before may have been cut off between the files and the reload.
        if loaded(hosts, mark):
            return False
        _reload_and_prove(hosts, mark)
        return True
    _ready(paths)
    reloaded = False
    try:
        _write(before, wanted)
        check()
        reloaded = True
        _reload_and_prove(hosts, mark)
    except BaseException as error:
        _write(wanted, before)
        if reloaded:
            _load_again(error)
        raise
    return True


def _load_again(cause: BaseException) -> None:
    """The old files are back: have them read. What failed first stays the failure that people are told."""
    try:
        with closing():
            reload()
    except SlipwayError as error:
        if isinstance(cause, SlipwayError):
            cause.message += f" The old configuration is in place again, but: {error.message}"


def _reload_and_prove(hosts: Sequence[str], mark: str) -> None:
    with closing():
        log = ErrorLog()
        reload()
        prove(hosts, mark, log)


@contextmanager
def closing() -> Iterator[None]:
    """Around a reload: answers close their connections, so that the workers which end have none left that are in use.

    A worker that ends closes its idle connections, also one on which a request has just arrived and was not read yet.
    That request would be lost; with HTTP/2 its client sends it again by itself.
    """
    touch(nginx.CLOSING)
    try:
        time.sleep(CLOSING_SECONDS)
        yield
    finally:
        remove(nginx.CLOSING)


def reload_for_others() -> None:
    """Whoever else has Nginx read its files again (a role, certbot, an administrator) loses no request either."""
    check()
    if not run(VISITORS, timeout=10).stdout.strip():
        reload()
        return
    with closing():
        reload()
        time.sleep(CHANGING_SECONDS)


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
    return not mark or all(_names(fetch(host, Expectation(nginx.CONFIG_PATH)), mark) for host in hosts)


def _names(said: Answer, mark: str) -> bool:
    return said.headers.get(nginx.CONFIG_HEADER.lower()) == mark


def prove(hosts: Sequence[str], mark: str, log: ErrorLog) -> None:
    """A reload returns before it is done, and may fail with status 0: only what Nginx answers counts."""
    if not mark:
        return
    for host in hosts:
        _agree(
            host,
            nginx.CONFIG_PATH,
            lambda said: _names(said, mark),
            f"Nginx does not serve the new configuration for {host}, although its reload ended with status 0",
            "Read its error log with: journalctl -u nginx ; tail /var/log/nginx/error.log. "
            "The server block of the host comes from role slipway.vps.nginx (role stack includes it).",
            log.complaint,
        )


class ErrorLog:
    """What Nginx writes into its error log from now on."""

    def __init__(self, path: Path = ERROR_LOG) -> None:
        self.path = path
        self._start = self._size()

    def _size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def complaint(self) -> str:
        """Why Nginx gave up loading a configuration, in its own words; empty if it did not (yet)."""
        if not self.path.exists():
            return ""
        with self.path.open("rb") as handle:
            handle.seek(self._start if self._size() >= self._start else 0)
            lines = handle.read(LOG_BYTES).decode(errors="replace").splitlines()
        return given_up(lines)


def given_up(lines: Sequence[str]) -> str:
    """Nginx tries a port that is taken five times before it gives up; anything else that is an emergency is final."""
    emergencies = [line.split("[emerg] ", 1)[1].split(": ", 1)[-1] for line in lines if "[emerg] " in line]
    if not any("still could not bind" in line or "bind() to" not in line for line in emergencies if line):
        return ""
    told = [line for line in emergencies if "still could not bind" not in line and "try again" not in line]
    return "; ".join(dict.fromkeys(told))


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
            lambda said: _says(said, slot, number),
            f"Nginx does not say for {host} that release number {number} in slot {slot} serves",
            "Look at the flag slot.green of the stack and at: journalctl -u nginx",
        )


def with_site(hosts: Sequence[str], sites: Path = SITES) -> list[str]:
    """Those hosts that Nginx has a site for: a release that drops a host has lost its site before it starts."""
    texts = [path.read_text(encoding="utf-8", errors="replace") for path in sorted(sites.glob("*.conf"))]
    found = [host for host in hosts if any(f"/hosts/{host}[.]conf" in text for text in texts)]
    # Sites that somebody wrote by hand name the files in their own way.
    return found or list(hosts)


def _says(said: Answer, slot: str, number: int) -> bool:
    try:
        told: Any = json.loads(said.body)
    except ValueError:
        return False
    return said.status == OK and told.get("release") == number and told.get("slot") == slot


def _agree(
    host: str,
    path: str,
    good: Callable[[Answer], bool],
    complaint: str,
    hint: str,
    hopeless: Callable[[], str] = str,
) -> None:
    """READ_BACKS fresh connections in a row say so, or it is told what they said and why (`hopeless`) nothing came."""
    deadline = time.monotonic() + READ_BACK_SECONDS
    in_row = 0
    while in_row < READ_BACKS:
        said = fetch(host, Expectation(path))
        in_row = in_row + 1 if good(said) else 0
        if in_row == 0:
            reason = hopeless()
            if reason or time.monotonic() >= deadline:
                seen = f"Nginx says: {reason}" if reason else f"{said}"
                raise SlipwayError(f"{complaint}: {seen}.", hint=hint, details={"probe": said.as_dict()})
            time.sleep(POLL_SECONDS)
