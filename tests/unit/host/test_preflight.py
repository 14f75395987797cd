# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

import pytest

from ansible_collections.slipway.vps.plugins.module_utils.host import preflight
from ansible_collections.slipway.vps.plugins.module_utils.host.preflight import Listener, Requirements

SYSTEMS = {"debian": ["12", "13"], "ubuntu": ["22.04"]}


def wanted(**values: object) -> Requirements:
    return Requirements(systems=SYSTEMS, **values)  # type: ignore[arg-type]


def test_a_supported_system_passes() -> None:
    release = preflight.parse_os_release(
        '# x\nID=debian\nVERSION_ID="13"\nPRETTY_NAME="Debian GNU/Linux 13 (trixie)"\n'
    )
    assert list(preflight.system(wanted(), release)) == []


def test_an_unknown_system_is_named_with_the_supported_ones() -> None:
    release = {"ID": "centos", "VERSION_ID": "9", "PRETTY_NAME": "CentOS Stream 9"}
    (message,) = preflight.system(wanted(), release)
    assert message == "This host runs CentOS Stream 9, which is not supported. Use Debian 12 or 13, Ubuntu 22.04."


def test_too_little_of_anything_is_told_with_both_figures() -> None:
    (message,) = preflight.memory(wanted(memory_mb=2000), "MemTotal:        1024000 kB\n")
    assert "1000 MiB of memory and 2000 MiB are needed" in message
    (message,) = preflight.cores(wanted(cores=2), 1)
    assert "1 processor core and 2 are needed" in message
    (message,) = preflight.disk(wanted(disk_gb=5), 2 * preflight.GIB)
    assert "2.0 GiB free and 5 GiB are needed" in message


def test_enough_is_enough() -> None:
    assert list(preflight.memory(wanted(memory_mb=1000), "MemTotal:        1024000 kB\n")) == []
    assert list(preflight.cores(wanted(cores=2), 2)) == []
    assert list(preflight.disk(wanted(disk_gb=5), 5 * preflight.GIB)) == []


@pytest.mark.parametrize(("now", "said"), [(1100.0, "100 s ahead of"), (900.0, "100 s behind"), (1030.0, "")])
def test_a_wrong_clock(now: float, said: str) -> None:
    found = list(preflight.clock(wanted(now=1000.0, clock_seconds=60), now))
    assert [said in message for message in found] == ([True] if said else [])


@pytest.mark.parametrize(
    ("answers", "addresses", "said"),
    [
        ({"192.0.2.1"}, (), ""),
        (set(), (), "has no address in the DNS. Create an A record that points to 192.0.2.1."),
        ({"192.0.2.9"}, (), "points to 192.0.2.9 and this host is 192.0.2.1."),
        ({"192.0.2.9"}, ("192.0.2.9",), ""),
        ({"192.0.2.1", "2001:db8::9"}, (), "points to 2001:db8::9 too and this host is 192.0.2.1."),
    ],
)
def test_a_name_has_to_lead_here_and_nowhere_else(answers: set[str], addresses: tuple[str, ...], said: str) -> None:
    required = wanted(domains=["shop.test"], addresses=addresses)
    found = list(preflight.dns(required, lambda name: answers, {"192.0.2.1", "fe80::1"}))
    assert len(found) == bool(said)
    assert all(said in message for message in found)


def test_a_port_that_another_program_has_taken_is_named_once() -> None:
    table = (
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
        "   0: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1\n"
        "   1: 00000000:0050 00000000:0000 01 00000000:00000000 00:00000000 00000000     0        0 4712 1\n"
        "   2: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4713 1\n"
    )
    listeners = preflight.parse_listeners(table)
    assert listeners == [Listener(80, "4711"), Listener(8080, "4713")]
    required = wanted(ports=[80, 443], port_owners=["nginx"])
    assert list(preflight.ports(required, listeners, lambda inode: "nginx")) == []
    (message,) = preflight.ports(required, [*listeners, *listeners], lambda inode: "apache2")
    assert message.startswith("Port 80 is taken by apache2.")
    (message,) = preflight.ports(required, listeners, lambda inode: "docker-proxy")
    assert message.startswith("Port 80 is published by a container. Find it with docker ps --filter publish=80")


def test_the_owner_of_a_real_socket_is_found() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        (listener,) = (entry for entry in preflight._listening() if entry.port == port)
        assert preflight.owner_of(listener.inode) == Path("/proc/self/comm").read_text().strip()


def test_the_addresses_of_this_machine_are_known() -> None:
    found = preflight.own_addresses()
    assert found
    assert not any(address.startswith("127.") for address in found)


def test_an_endpoint_that_is_closed_is_told_with_its_hint() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    endpoint = {"what": "The image registry", "url": f"https://127.0.0.1:{port}/v2/", "ca": "", "hint": "Check it."}
    (message,) = preflight.endpoints(wanted(endpoints=[endpoint]), preflight.ask_https)
    assert message.startswith(f"The image registry at https://127.0.0.1:{port}/v2/ does not answer this host:")
    assert "refused" in message
    assert message.endswith("Check it.")


def test_secrets_are_named_and_never_shown() -> None:
    (message,) = preflight.secrets(wanted(secrets={"B": "empty", "A": "empty", "C": ""}))
    assert message.startswith("These secrets are empty: A, B.")
    empty, guessable = preflight.secrets(wanted(secrets={"A": "empty", "B": "guessable"}))
    assert empty.startswith("This secret is empty: A.")
    assert guessable.startswith("This secret is a default or easy to guess: B.")


def test_what_an_example_has_in_place_of_a_secret_is_told() -> None:
    (message,) = preflight.secrets(wanted(secrets={"A": "placeholder"}))
    assert message.startswith("This secret has the value of an example still: A.")


def test_only_what_is_asked_for_is_looked_at_and_the_order_is_a_persons() -> None:
    required = wanted(memory_mb=10**9, cores=10**6, now=time.time() - 10**6, secrets={"A": "empty"})
    found = preflight.inspect(required, ["secrets", "cores", "memory", "clock"])
    assert [problem.check for problem in found] == ["memory", "cores", "clock", "secrets"]
    assert preflight.inspect(wanted(cores=len(os.sched_getaffinity(0))), ["cores"]) == []
