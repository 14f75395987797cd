# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs probes where the system's resolver asks a name server of ours: a program for network and mount namespaces."""

from __future__ import annotations

import fcntl
import ipaddress
import json
import socket
import struct
import sys
import threading
import time

from ansible_collections.slipway.vps.plugins.module_utils.probe import engine

ZONE = {"shop.test": ["192.0.2.10"], "two.test": ["192.0.2.10", "192.0.2.11"], "six.test": ["2001:db8::4"]}
A, AAAA = 1, 28
NO_SUCH_NAME = 3
SET_FLAGS, UP = 0x8914, 0x1


def raise_loopback():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SET_FLAGS, struct.pack("16sh", b"lo", UP))


def answer(query):
    """RFC 1035: the question again, and an address record for each address of the wanted family."""
    labels, position = [], 12
    while query[position]:
        labels.append(query[position + 1 : position + 1 + query[position]].decode())
        position += 1 + query[position]
    name, kind = ".".join(labels), struct.unpack_from("!H", query, position + 1)[0]
    if name == "silent.test":
        return None
    addresses = [ipaddress.ip_address(one) for one in ZONE.get(name, [])]
    wanted = [one for one in addresses if (one.version == 4) == (kind == A) and kind in (A, AAAA)]
    code = 0 if name in ZONE else NO_SUCH_NAME
    head = query[:2] + struct.pack("!HHHHH", 0x8580 | code, 1, len(wanted), 0, 0)
    records = [struct.pack("!HHHIH", 0xC00C, kind, 1, 0, len(one.packed)) + one.packed for one in wanted]
    return head + query[12 : position + 5] + b"".join(records)


def serve(listener):
    while True:
        query, peer = listener.recvfrom(4096)
        said = answer(query)
        if said:
            listener.sendto(said, peer)


def main():
    raise_loopback()
    listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listener.bind(("127.0.0.1", 53))
    threading.Thread(target=serve, args=(listener,), daemon=True).start()
    started = time.monotonic()
    found = engine.check(engine.Request(json.loads(sys.argv[1]), timeout=0.7))
    json.dump({"seconds": time.monotonic() - started, "probes": found.as_dict()["probes"]}, sys.stdout)


if __name__ == "__main__":
    main()
