# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pytest plugin of the scenarios: a host over SSH, its sites from outside, its objects, and playbooks to run."""

from __future__ import annotations

import base64
import http.client
import json
import os
import re
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import testinfra

pytest_plugins = ["slipway_long"]

ROOT = Path(os.environ.get("SLIPWAY_ROOT") or Path(__file__).resolve().parents[2])
LAB = ROOT / ".cache" / "lab"
# The load client is a package of its own, for the command line as much as for the tests.
sys.path.insert(0, str(ROOT / "tests" / "load"))
ADDRESSES = {"shop1": "10.77.0.10", "bookworm1": "10.77.0.12", **{f"vps{n}": f"10.77.0.{20 + n}" for n in range(1, 18)}}


def connect(name: str, sudo: bool = True) -> Any:
    """A testinfra host, reached as the operator reaches it: by key, with its host key checked."""
    options = f"-o UserKnownHostsFile={LAB}/known_hosts -o IdentitiesOnly=yes -o StrictHostKeyChecking=yes"
    return testinfra.get_host(
        f"ssh://ops@{ADDRESSES[name]}", ssh_identity_file=str(LAB / "id_ed25519"), ssh_extra_args=options, sudo=sudo
    )


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode(errors="replace")

    def json(self) -> Any:
        return json.loads(self.body)


class _Connection(http.client.HTTPSConnection):
    """Goes to one address, whatever the name: the outer machine knows nothing of the lab's names."""

    def __init__(self, address: str, host: str, context: ssl.SSLContext) -> None:
        super().__init__(host, timeout=20, context=context)
        self._address = address
        self._tls = context

    def connect(self) -> None:
        plain = socket.create_connection((self._address, 443), timeout=20)
        self.sock = self._tls.wrap_socket(plain, server_hostname=self.host)


class Web:
    """A visitor who trusts only the lab's certificate authority."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._context = ssl.create_default_context(cafile=str(LAB / "acme-root.pem"))

    def ask(
        self,
        host: str,
        path: str = "/",
        *,
        method: str = "GET",
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        data = json.dumps(body).encode() if isinstance(body, dict) else body
        connection = _Connection(self.address, host, self._context)
        try:
            connection.request(method, path, body=data, headers=dict(headers or {}))
            answer = connection.getresponse()
            named = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, named, answer.read())
        finally:
            connection.close()

    def plain(self, host: str, path: str = "/") -> Answer:
        connection = http.client.HTTPConnection(self.address, 80, timeout=20)
        try:
            connection.request("GET", path, headers={"Host": host})
            answer = connection.getresponse()
            headers = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, headers, answer.read())
        finally:
            connection.close()

    def certificate(self, host: str) -> dict[str, Any]:
        with self._tls(host) as secure:
            return dict(secure.getpeercert() or {})

    def products(self, host: str) -> list[str]:
        answer = self.ask(host, "/products")
        assert answer.status == 200, answer.text
        return [product["name"] for product in answer.json()["products"]]

    def websocket(self, host: str, message: str, *, headers: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
        """Greeting and echo of the sample application's WebSocket."""
        key = base64.b64encode(os.urandom(16)).decode()
        mask = os.urandom(4)
        more = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
        masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(message.encode()))
        with self._tls(host) as secure:
            secure.sendall(
                f"GET /ws HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n{more}\r\n".encode()
            )
            stream = secure.makefile("rb")
            status = stream.readline()
            assert b" 101 " in status, status
            while stream.readline().strip():
                pass
            secure.sendall(bytes([0x81, 0x80 | len(masked)]) + mask + masked)
            return [json.loads(stream.read(stream.read(2)[1])) for _stream in range(2)]

    def _tls(self, host: str) -> ssl.SSLSocket:
        plain = socket.create_connection((self.address, 443), timeout=20)
        try:
            return self._context.wrap_socket(plain, server_hostname=host)
        except OSError:
            plain.close()
            raise


POLITE = 10
MEASURING = 19


class Visitor(threading.Thread):
    """Reads from the database through the application all the time, and notes every answer that is not good."""

    def __init__(self, web: Web, host: str, path: str = "/products") -> None:
        super().__init__(daemon=True)
        self._web = web
        self._host = host
        self._path = path
        self._over = threading.Event()
        self.asked = 0
        self.bad: list[str] = []
        self._bad_at: list[float] = []

    @property
    def bad_for(self) -> float:
        """Seconds from the first answer that was not good to the last one."""
        return self._bad_at[-1] - self._bad_at[0] if self._bad_at else 0.0

    def run(self) -> None:
        while not self._over.is_set():
            self.asked += 1
            wrong = self._wrong()
            if wrong:
                self.bad.append(wrong)
                self._bad_at.append(time.monotonic())
            time.sleep(0.05)

    def _wrong(self) -> str:
        try:
            answer = self._web.ask(self._host, self._path)
        except OSError as error:
            return repr(error)
        return "" if answer.status == 200 else f"{answer.status} {answer.text[:200]}"

    def __enter__(self) -> Visitor:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.join()


_TASK = re.compile(r"^(?:TASK|RUNNING HANDLER) \[(.*?)\]", re.MULTILINE)
_RECAP = re.compile(r"^(\S+)\s+: ok=(\d+)\s+changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)", re.MULTILINE)


@dataclass(frozen=True)
class Play:
    """What a run of ansible-playbook said."""

    code: int
    output: str
    changed: dict[str, int] = field(default_factory=dict)

    def changed_tasks(self) -> list[str]:
        """Names of tasks that changed something, each once, in order."""
        found: list[str] = []
        parts = _TASK.split(self.output)
        for name, text in zip(parts[1::2], parts[2::2], strict=True):
            if re.search(r"^changed: \[", text, re.MULTILINE) and name not in found:
                found.append(name)
        return found


def _behind(nice: int) -> list[str]:
    """With 19 it gets nothing but what nobody else wants: where latencies are measured, it must not add to them."""
    return ["nice", "-n", str(nice), *(["chrt", "--idle", "0"] if nice >= MEASURING else [])]


def run_playbook(
    name: str, *arguments: str, inventory: str = "inventories/demo", timeout: float = 900, nice: int = POLITE
) -> Play:
    """Run a playbook of the collection just as its user would, against the demo's inventory.

    It leaves the CPU to the servers, as a controller on a machine of its own does.
    """
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("MOLECULE_", "PYTEST_"))}
    environment = {**kept, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
    environment.pop("ANSIBLE_FORCE_COLOR", None)
    path = name if name.endswith(".yml") else f"playbooks/{name}.yml"
    result = subprocess.run(
        [*_behind(nice), "ansible-playbook", "--inventory", inventory, path, *arguments],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    output = result.stdout + result.stderr
    return Play(result.returncode, output, {host: int(more[1]) for host, *more in _RECAP.findall(output)})


class Server:
    """One of the spare servers: how to log in, what its visitors see, and playbooks limited to it."""

    INVENTORIES = ("--inventory", "molecule/inventory/servers.yml")

    def __init__(self, name: str) -> None:
        self.name = name
        self.address = ADDRESSES[name]
        self.zone = f"{name}.test"
        self.vps = connect(name)
        self.web = Web(self.address)

    def play(self, name: str, *arguments: str, timeout: float = 900, nice: int = POLITE) -> Play:
        """Run a playbook on this server, whatever comes of it."""
        return run_playbook(name, *self.INVENTORIES, "--limit", self.name, *arguments, timeout=timeout, nice=nice)

    def playbook(self, name: str, *arguments: str, timeout: float = 900, nice: int = POLITE) -> Play:
        """Run a playbook that has to succeed."""
        play = self.play(name, *arguments, timeout=timeout, nice=nice)
        assert play.code == 0, play.output[-6000:]
        return play


@pytest.fixture(scope="session")
def server() -> Server:
    """The scenario's spare server; SLIPWAY_HOST names another one for a run by hand."""
    return Server(os.environ["SLIPWAY_HOST"])


@pytest.fixture(scope="session")
def vps() -> Any:
    return connect("shop1")


@pytest.fixture(scope="session")
def web() -> Web:
    return Web(ADDRESSES["shop1"])


@pytest.fixture(scope="session")
def playbook() -> Any:
    def run(name: str, *arguments: str) -> Play:
        play = run_playbook(name, *arguments)
        assert play.code == 0, play.output[-6000:]
        return play

    return run


@pytest.fixture(scope="session")
def objects() -> Iterator[Any]:
    """Keys of the objects in the bucket of the backups, newest last."""
    import boto3
    from botocore.config import Config

    client = boto3.client(
        "s3",
        endpoint_url="https://10.77.0.3:8333",
        verify=str(LAB / "ca.pem"),
        region_name="us-east-1",
        aws_access_key_id="lab-backup",
        aws_secret_access_key=(LAB / "s3_secret_key").read_text(),
        config=Config(s3={"addressing_style": "path"}),
    )

    def listed() -> list[str]:
        pages = client.get_paginator("list_objects_v2").paginate(Bucket="backups")
        found = [entry for page in pages for entry in page.get("Contents", [])]
        return [entry["Key"] for entry in sorted(found, key=lambda entry: entry["LastModified"])]

    yield listed
    client.close()
