#!/usr/bin/env python3
# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab: real servers to deploy to, and the services around them, on one machine with Docker.

Needs Python's standard library only, because it runs before anything else is set up.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import shutil
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

import certificates
import containers
import engine
import hosts
import images
import network
import services
import settings
from settings import HOSTS, STATE, Host
from shell import LabError, docker, fail, run, say, step


@contextmanager
def _alone() -> Iterator[None]:
    """Two starts at once would fight over the same names."""
    STATE.mkdir(parents=True, exist_ok=True)
    with (STATE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _chosen(names: str) -> list[Host]:
    unknown = [name for name in names.split(",") if name not in HOSTS]
    if unknown:
        raise LabError(f"There is no host {unknown[0]}; the lab has {', '.join(HOSTS)}.")
    return [HOSTS[name] for name in names.split(",")]


def up(arguments: argparse.Namespace) -> int:
    chosen = _chosen(arguments.hosts)
    if arguments.furnished:
        chosen = [replace(host, layers=settings.FURNISHED) for host in chosen]
    with _alone():
        engine.ensure()
        engine.need("ssh-keygen", "openssh-client")
        engine.need("openssl", "openssl")
        certificates.ensure()
        hosts.ensure_key()
        network.ensure()
        host_images, service_image, published = images.everything(sorted({host.image for host in chosen}))
        with ThreadPoolExecutor(max_workers=2) as pool:
            booting = [pool.submit(hosts.up, host, host_images[host.image], fresh=arguments.fresh) for host in chosen]
            new_authority = services.up(service_image, images.zones(), images.object_store())
            if any(host.suite == "bookworm" for host in chosen):
                services.packages(images.packages())
            with step("Registry: images of the demo"), ThreadPoolExecutor(max_workers=2) as pushing:
                list(pushing.map(services.publish, published, published.values()))
            for future in booting:
                future.result()
        if new_authority:
            for host in HOSTS.values():
                hosts.forget_accounts(host)
    say(f"The lab is up: {', '.join(f'{host.name} {host.address}' for host in chosen)}")
    return 0


def off(arguments: argparse.Namespace) -> int:
    with ThreadPoolExecutor(max_workers=2) as pool:
        list(pool.map(hosts.switch_off, _chosen(arguments.hosts)))
    return 0


def _remove_all(keep: set[str]) -> None:
    names = containers.all_names()
    for name in names:
        containers.remove(name)
    for volume in containers.all_volumes():
        if volume not in keep:
            docker("volume", "rm", "--force", volume)
    network.remove()
    for stale in (hosts.KNOWN_HOSTS, services.ACME_ROOT):
        stale.unlink(missing_ok=True)
    say(f"{len(names)} containers removed")


def down(arguments: argparse.Namespace) -> int:
    with _alone():
        if arguments.hosts:
            for host in _chosen(arguments.hosts):
                hosts.remove(host)
        else:
            # What the registry holds can be made again, but that takes half a minute: it is kept like the images.
            _remove_all(keep={services.REGISTRY_VOLUME})
    return 0


def destroy(_arguments: argparse.Namespace) -> int:
    if shutil.which("docker") and run(["docker", "version"], check=False).returncode == 0:
        with _alone():
            _remove_all(keep=set())
            images.remove_all()
    shutil.rmtree(STATE, ignore_errors=True)
    say("Nothing of the lab is left")
    return 0


_PLAIN_SERVICES = {
    "dns": settings.DNS,
    "records": settings.RECORDS,
    "packages": settings.PACKAGES,
    "zones": settings.ZONES,
}


def status(_arguments: argparse.Namespace) -> int:
    for host in HOSTS.values():
        print(f"{host.name:<12} {host.address:<12} {'up' if containers.running(host.container) else 'down'}")
    for name, address in (*settings.SERVICE_NAMES.items(), *_PLAIN_SERVICES.items()):
        print(f"{name:<12} {address:<12} {'up' if containers.running(services.container(name)) else 'down'}")
    return 0


def ssh(arguments: argparse.Namespace) -> int:
    argv = hosts.ssh_command(_chosen(arguments.host)[0], arguments.command)
    sys.stdout.flush()
    os.execvp(argv[0], argv)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="lab.py", description=__doc__)
    commands = parser.add_subparsers(dest="verb", required=True)
    start = commands.add_parser("up", help="build what is missing and start what does not run")
    start.add_argument("--hosts", default=settings.DEFAULT_HOST, help="names, separated by commas")
    start.add_argument("--fresh", action="store_true", help="throw these hosts away first and make them anew")
    start.add_argument("--furnished", action="store_true", help="new ones have the packages already")
    start.set_defaults(act=up)
    rest = commands.add_parser("off", help="switch hosts off; up boots them again, with all that they hold")
    rest.add_argument("--hosts", required=True, help="names, separated by commas")
    rest.set_defaults(act=off)
    stop = commands.add_parser("down", help="remove containers, their data and the network; keep images")
    stop.add_argument("--hosts", default="", help="remove these hosts only")
    stop.set_defaults(act=down)
    commands.add_parser("destroy", help="remove everything, images and keys too").set_defaults(act=destroy)
    commands.add_parser("status", help="say what runs").set_defaults(act=status)
    shell = commands.add_parser("ssh", help="open a shell on a host, or run a command there")
    shell.add_argument("host", nargs="?", default=settings.DEFAULT_HOST)
    shell.add_argument("command", nargs="*")
    shell.set_defaults(act=ssh)
    return parser


def main() -> int:
    arguments = _parser().parse_args()
    try:
        code: int = arguments.act(arguments)
    except LabError as error:
        return fail(str(error))
    return code


if __name__ == "__main__":
    sys.exit(main())
