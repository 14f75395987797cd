# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A real Nginx for tests: what role nginx writes, on ports of its own, and an application behind it."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

from ansible_collections.slipway.vps.tests.unit.self_signed import self_signed

ROLE = Path(__file__).resolve().parents[2] / "roles" / "nginx"
PROGRAM = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
BROTLI = Path("/usr/lib/nginx/modules/ngx_http_brotli_filter_module.so")
SNIPPETS = ("headers", "proxy", "maintenance")
# Role nginx writes for a host of its own; here everything is moved into one directory.
MOVED = ("/etc/nginx/slipway", "/var/log/nginx", "/var/www", "/srv", "/run")
READY_SECONDS = 20.0


def codename() -> str:
    text = Path("/etc/os-release").read_text(encoding="utf-8")
    found = re.search(r"^VERSION_CODENAME=(\S+)", text, re.MULTILINE)
    return found[1] if found else ""


def version() -> str:
    said = subprocess.run([str(PROGRAM), "-v"], check=True, capture_output=True, text=True).stderr
    return said.strip().rpartition("/")[2].split(" ", 1)[0]


def _trusted(value: Any) -> Any:
    if isinstance(value, str):
        return trust_as_template(value)
    if isinstance(value, dict):
        return {key: _trusted(one) for key, one in value.items()}
    return [_trusted(one) for one in value] if isinstance(value, list) else value


class Role:
    """The role's templates, filled as Ansible fills them."""

    def __init__(self, **variables: Any) -> None:
        found: dict[str, Any] = {}
        for name in ("defaults", "vars"):
            found.update(yaml.safe_load((ROLE / name / "main.yml").read_text(encoding="utf-8")))
        facts = {"distribution_release": codename(), "distribution": "Debian", "distribution_version": ""}
        given = {"ansible_facts": facts, "ansible_managed": "Managed", "nginx_version": version(), "nginx_ipv6": False}
        self._variables = _trusted({**found, **given, "nginx_brotli": BROTLI.exists(), **variables})

    def text(self, template: str, **more: Any) -> str:
        templar = Templar(loader=DataLoader(), variables={**self._variables, **_trusted(more)})
        source = (ROLE / "templates" / template).read_text(encoding="utf-8")
        return str(templar.copy_with_new_env().template(trust_as_template(source)))

    def value(self, name: str) -> Any:
        return Templar(loader=DataLoader(), variables=self._variables).template(self._variables[name])


class _Handler(BaseHTTPRequestHandler):
    """Answers with what it was asked; a few paths answer in a way of their own."""

    protocol_version = "HTTP/1.1"
    server: Application

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        self.rfile.read(length)
        asked = {name: self.headers.get_all(name) for name in {*self.headers.keys()}}
        self.server.requests.append(asked)
        body = json.dumps({"path": self.path, "headers": asked}).encode()
        if self.path == "/long":
            body = b"long " * 1000
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if self.path == "/strict":
            self.send_header("X-Frame-Options", "DENY")
            self.send_header("X-Powered-By", "something old")
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *_: Any) -> None:
        return


class Application(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: list[dict[str, list[str]]] = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def port(self) -> int:
        return int(self.server_address[1])


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def certificate(path: Path, *names: str) -> None:
    """A key and a self-signed certificate in one file."""
    key, chain = path.with_suffix(".key"), path.with_suffix(".crt")
    self_signed(key, chain, *names)
    path.write_text(chain.read_text(encoding="utf-8") + key.read_text(encoding="utf-8"), encoding="utf-8")


class Nginx:
    """One that runs until `stop`."""

    def __init__(self, directory: Path, role: Role, **files: str) -> None:
        self.directory = directory
        self.role = role
        self.http, self.https = free_port(), free_port()
        self.configuration = directory / "nginx.conf"
        for place in ("etc/nginx/slipway/sites", "var/log/nginx", "var/www/letsencrypt", "var/www/slipway", "run"):
            (directory / place).mkdir(parents=True, exist_ok=True)
        for place in ("etc/nginx/slipway/snippets", "etc/nginx/slipway/certificates", "etc/nginx/slipway/stacks/shop"):
            (directory / place).mkdir(parents=True, exist_ok=True)
        # The distribution's files name modules by a path below the prefix.
        (directory / "modules").symlink_to(BROTLI.parent)
        self.write("nginx.conf", role.text("nginx.conf.j2"))
        for name in SNIPPETS:
            self.write(f"etc/nginx/slipway/snippets/{name}.conf", role.text(f"{name}.conf.j2"))
        for name, text in files.items():
            self.write(f"etc/nginx/slipway/{name}", text)
        self._process: subprocess.Popen[bytes] | None = None

    def write(self, name: str, text: str) -> None:
        """A file of the host, moved into the directory."""
        for place in MOVED:
            text = re.sub(rf"(?<![\w.]){re.escape(place)}\b", f"{self.directory}{place}", text)
        text = re.sub(r"listen 80\b", f"listen 127.0.0.1:{self.http}", text)
        text = re.sub(r"listen 443\b", f"listen 127.0.0.1:{self.https}", text)
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def sites(self, *sites: Mapping[str, Any]) -> None:
        for site in sites:
            pair = (
                self.directory / "etc/nginx/slipway/certificates" / f"{site.get('certificate_name', site['name'])}.pem"
            )
            if not pair.exists():
                certificate(pair, *site["server_names"][:50])
        self.write("etc/nginx/slipway/sites/sites.conf", self.role.text("sites.conf.j2", nginx_sites=[*sites]))

    def _argv(self, *words: str) -> list[str]:
        return [str(PROGRAM), "-p", str(self.directory), "-e", str(self.log), "-c", str(self.configuration), *words]

    @property
    def log(self) -> Path:
        return self.directory / "var/log/nginx/error.log"

    def check(self) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self._argv("-t"), check=False, capture_output=True, text=True)

    def start(self) -> None:
        said = self.check()
        assert said.returncode == 0, said.stderr
        self._process = subprocess.Popen(self._argv("-g", "daemon off;"), stdin=subprocess.DEVNULL)
        self._until(self._listens)

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.http)) == 0

    @staticmethod
    def _until(ready: Any) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while not ready():
            assert time.monotonic() < deadline, "Nginx is not ready"
            time.sleep(0.02)

    def workers(self) -> set[str]:
        """The workers that take new connections."""
        assert self._process is not None
        listed = subprocess.run(
            ["ps", "--ppid", str(self._process.pid), "-o", "pid=,args="], check=False, capture_output=True, text=True
        ).stdout
        lines = [line.split(None, 1) for line in listed.splitlines()]
        return {pid for pid, what in lines if what.startswith("nginx: worker process") and "shutting" not in what}

    def reload(self) -> float:
        """Seconds until the new configuration serves alone."""
        before, started = self.workers(), time.monotonic()
        subprocess.run(self._argv("-s", "reload"), check=True, capture_output=True)
        self._until(lambda: (now := self.workers()) and not now & before)
        return time.monotonic() - started

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(20)
            self._process = None

    # -- visitors

    def connect(self, name: str = "", *, protocols: Sequence[str] = ()) -> ssl.SSLSocket:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        if protocols:
            context.set_alpn_protocols([*protocols])
        plain = socket.create_connection(("127.0.0.1", self.https), timeout=30)
        try:
            return context.wrap_socket(plain, server_hostname=name or None)
        except OSError:
            plain.close()
            raise

    def ask(
        self, host: str, path: str = "/", headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> tuple[int, dict[str, list[str]], bytes]:
        """Over TLS: status, headers by their names in lower case, body."""
        with self.connect(host) as secure:
            return exchange(secure, host, path, headers, body)

    def plain(self, host: str, path: str = "/") -> tuple[int, dict[str, list[str]], bytes]:
        with socket.create_connection(("127.0.0.1", self.http), timeout=30) as connection:
            return exchange(connection, host, path)

    def access(self) -> list[dict[str, Any]]:
        lines = (self.directory / "var/log/nginx/access.log").read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines]


def exchange(
    connection: socket.socket,
    host: str,
    path: str,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
) -> tuple[int, dict[str, list[str]], bytes]:
    lines = [f"{'GET' if body is None else 'POST'} {path} HTTP/1.1", f"Host: {host}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    lines += [] if body is None else [f"Content-Length: {len(body)}"]
    connection.sendall("".join(f"{line}\r\n" for line in [*lines, ""]).encode())
    if body:
        # One that is refused is not read to its end.
        with contextlib.suppress(ConnectionError):
            connection.sendall(body)
    answer = http.client.HTTPResponse(connection)
    answer.begin()
    named: dict[str, list[str]] = {}
    for name, value in answer.getheaders():
        named.setdefault(name.lower(), []).append(value)
    return answer.status, named, answer.read()


def world_readable(directory: Path) -> None:
    """The workers run as a user of their own, and pytest's directories are closed to others."""
    for place in (directory, *directory.parents):
        if place.stat().st_uid == os.geteuid() and place != Path("/"):
            place.chmod(place.stat().st_mode | 0o055)
