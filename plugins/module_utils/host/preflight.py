# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What has to be true of a host before anything on it is changed. Reads only, with nothing but Python's own library."""

from __future__ import annotations

import contextlib
import ipaddress
import itertools
import os
import re
import shutil
import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

GIB = 1024**3
LISTEN = "0A"
NETWORK_TIMEOUT = 8.0
CONTAINER_PROXY = "docker-proxy"
EMPTY, PLACEHOLDER, GUESSABLE = "empty", "placeholder", "guessable"
SECRET_FAULTS = (
    (
        EMPTY,
        ("is empty", "are empty"),
        "Give each a value, best from ansible-vault or another lookup.",
    ),
    (
        PLACEHOLDER,
        ("has the value of an example still", "have the values of an example still"),
        "Make up values, and encrypt their file with: ansible-vault encrypt FILE",
    ),
    (
        GUESSABLE,
        ("is a default or easy to guess", "are defaults or easy to guess"),
        "Let a machine make them: openssl rand -hex 24.",
    ),
)


@dataclass(frozen=True)
class Problem:
    check: str
    message: str

    def __str__(self) -> str:
        return self.message


@dataclass(frozen=True)
class Requirements:
    systems: Mapping[str, Sequence[str]]
    memory_mb: int = 0
    cores: int = 0
    disk_gb: float = 0
    disk_path: str = "/"
    now: float = 0
    clock_seconds: float = 0
    domains: Sequence[str] = ()
    addresses: Sequence[str] = ()
    ports: Sequence[int] = ()
    port_owners: Sequence[str] = ()
    endpoints: Sequence[Mapping[str, str]] = ()
    # By name, what is wrong with each. The secrets themselves stay on the controller.
    secrets: Mapping[str, str] | None = None


def system(required: Requirements, release: Mapping[str, str]) -> Iterator[str]:
    known = required.systems.get(release.get("ID", ""), ())
    if release.get("VERSION_ID", "") not in known:
        found = release.get("PRETTY_NAME") or release.get("ID") or "an unknown system"
        wanted = ", ".join(
            f"{name.capitalize()} {' or '.join(versions)}" for name, versions in required.systems.items()
        )
        yield f"This host runs {found}, which is not supported. Use {wanted}."


def parse_os_release(text: str) -> dict[str, str]:
    pairs = (line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith("#"))
    return {key.strip(): value.strip().strip("\"'") for key, value in pairs}


def memory(required: Requirements, meminfo: str) -> Iterator[str]:
    match = re.search(r"^MemTotal:\s+(\d+) kB", meminfo, re.MULTILINE)
    found = int(match[1]) // 1024 if match else 0
    if found < required.memory_mb:
        yield (
            f"This host has {found} MiB of memory and {required.memory_mb} MiB are needed. "
            "Take a larger server, or lower preflight_memory_mb if the stack is small."
        )


def cores(required: Requirements, found: int) -> Iterator[str]:
    if found < required.cores:
        yield (
            f"This host has {found} processor core{'' if found == 1 else 's'} and {required.cores} are needed. "
            "Take a larger server, or lower preflight_cores."
        )


def disk(required: Requirements, free: int) -> Iterator[str]:
    if free < required.disk_gb * GIB:
        yield (
            f"{required.disk_path} has {free / GIB:.1f} GiB free and {required.disk_gb:g} GiB are needed. "
            "Free some space (docker system df, journalctl --disk-usage), or lower preflight_disk_gb."
        )


def clock(required: Requirements, now: float) -> Iterator[str]:
    skew = now - required.now
    if required.now and abs(skew) > required.clock_seconds:
        yield (
            f"The clock of this host is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} the controller's. "
            "Check both with timedatectl: with a wrong clock neither certificates nor S3 work."
        )


def dns(required: Requirements, resolve: Callable[[str], set[str]], own: Iterable[str]) -> Iterator[str]:
    ours = {*map(_plain, own), *map(_plain, required.addresses)}
    with ThreadPoolExecutor(max_workers=16) as pool:
        answers = pool.map(resolve, required.domains)
        for name, found in zip(required.domains, answers, strict=True):
            addresses = {_plain(address) for address in found}
            if not addresses:
                yield f"{name} has no address in the DNS. Create an A record that points to {_readable(ours)}."
            elif strangers := addresses - ours:
                yield (
                    f"{name} points to {_readable(strangers)}{' too' if addresses & ours else ''} and this host is "
                    f"{_readable(ours)}. Correct its DNS record, or name the address in preflight_addresses if what is "
                    "there passes requests on to this host."
                )


def _plain(address: str) -> str:
    return str(ipaddress.ip_address(address.partition("%")[0]))


def _readable(addresses: Iterable[str]) -> str:
    shown = [address for address in addresses if not ipaddress.ip_address(address).is_link_local]
    return ", ".join(sorted(shown)) or "this host"


def resolve(name: str) -> set[str]:
    """Its addresses; none when the name is unknown. Loopback entries of /etc/hosts are not an answer."""
    try:
        found = {str(entry[4][0]) for entry in socket.getaddrinfo(name, None, proto=socket.IPPROTO_TCP)}
    except OSError:
        return set()
    return {address for address in found if not ipaddress.ip_address(address.partition("%")[0]).is_loopback}


@dataclass(frozen=True)
class Listener:
    port: int
    inode: str


def parse_listeners(text: str) -> list[Listener]:
    """Listening sockets in the format of /proc/net/tcp."""
    rows = [line.split() for line in text.splitlines()[1:]]
    return [Listener(int(row[1].rsplit(":", 1)[1], 16), row[9]) for row in rows if len(row) > 9 and row[3] == LISTEN]


def ports(required: Requirements, listeners: Iterable[Listener], owner: Callable[[str], str]) -> Iterator[str]:
    seen = set()
    for listener in listeners:
        if listener.port in required.ports and listener.port not in seen:
            name = owner(listener.inode)
            if name not in required.port_owners:
                seen.add(listener.port)
                yield _taken(listener.port, name)


def _taken(port: int, name: str) -> str:
    if name == CONTAINER_PROXY:
        return (
            f"Port {port} is published by a container. Find it with docker ps --filter publish={port} and stop it, or "
            "let it publish another port: Nginx needs this port."
        )
    return (
        f"Port {port} is taken by {name or 'another program'}. Find it with ss -ltnp 'sport = :{port}' and stop and "
        "disable it: Nginx needs this port."
    )


def owner_of(inode: str, proc: str = "/proc") -> str:
    """Name of the program that holds the socket; empty when it cannot be seen."""
    wanted = f"socket:[{inode}]"
    for process in Path(proc).iterdir():
        if process.name.isdigit():
            with contextlib.suppress(OSError):
                if any(os.readlink(entry) == wanted for entry in (process / "fd").iterdir()):
                    return (process / "comm").read_text(encoding="utf-8").strip()
    return ""


def endpoints(required: Requirements, ask: Callable[[Mapping[str, str]], str]) -> Iterator[str]:
    with ThreadPoolExecutor(max_workers=8) as pool:
        for endpoint, trouble in zip(required.endpoints, pool.map(ask, required.endpoints), strict=True):
            if trouble:
                yield f"{endpoint['what']} at {endpoint['url']} does not answer this host: {trouble} {endpoint['hint']}"


def ask_https(endpoint: Mapping[str, str]) -> str:
    """What is wrong with the endpoint, or nothing. Any answer of an HTTP server will do, also a refusal."""
    context = ssl.create_default_context(cadata=endpoint["ca"]) if endpoint.get("ca") else None
    try:
        # S310 is about file addresses: the role writes https:// itself.
        with urllib.request.urlopen(endpoint["url"], timeout=NETWORK_TIMEOUT, context=context):  # noqa: S310 - see above
            return ""
    except urllib.error.HTTPError as error:
        return f"it answers with status {error.code}." if error.code >= 500 else ""
    except (OSError, ValueError) as error:
        return f"{getattr(error, 'reason', error)}."


def secrets(required: Requirements) -> Iterator[str]:
    for fault, said, what_to_do in SECRET_FAULTS:
        names = sorted(name for name, found in (required.secrets or {}).items() if found == fault)
        if names:
            who = "These secrets" if len(names) > 1 else "This secret"
            yield f"{who} {said[len(names) > 1]}: {', '.join(names)}. {what_to_do}"


def own_addresses() -> set[str]:
    """The addresses of this host's interfaces, asked of the kernel through its routing tables."""
    found = set()
    with contextlib.suppress(FileNotFoundError):
        lines = Path("/proc/net/fib_trie").read_text(encoding="ascii").splitlines()
        for line, following in itertools.pairwise(lines):
            match = re.search(r"\|-- (\d+\.\d+\.\d+\.\d+)", line)
            if match and "/32 host LOCAL" in following:
                found.add(match[1])
    with contextlib.suppress(FileNotFoundError):
        for line in Path("/proc/net/if_inet6").read_text(encoding="ascii").splitlines():
            found.add(str(ipaddress.IPv6Address(bytes.fromhex(line.split()[0]))))
    return {address for address in found if not ipaddress.ip_address(address).is_loopback}


def _listening() -> list[Listener]:
    found = []
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(FileNotFoundError):
            found += parse_listeners(Path(table).read_text(encoding="ascii"))
    return found


def inspect(required: Requirements, checks: Iterable[str]) -> list[Problem]:
    """Every problem of this host, in the order in which a person would look."""
    known: dict[str, Callable[[], Iterable[str]]] = {
        "system": lambda: system(required, parse_os_release(Path("/etc/os-release").read_text(encoding="utf-8"))),
        "memory": lambda: memory(required, Path("/proc/meminfo").read_text(encoding="ascii")),
        "cores": lambda: cores(required, len(os.sched_getaffinity(0))),
        "disk": lambda: disk(required, shutil.disk_usage(required.disk_path).free),
        "clock": lambda: clock(required, time.time()),
        "dns": lambda: dns(required, resolve, own_addresses()),
        "ports": lambda: ports(required, _listening(), owner_of),
        "endpoints": lambda: endpoints(required, ask_https),
        "secrets": lambda: secrets(required),
    }
    wanted = set(checks)
    return [Problem(name, message) for name, check in known.items() if name in wanted for message in check()]
