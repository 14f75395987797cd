# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make a checkout ready to run: Debian packages, virtual environment, collections, Docker Engine, `.cache/env`.

Started by tools/setup.sh with the newest Python that runs; standard library only. Each step leaves a checksum of what
it was made from, so that the next run is over at once when nothing has changed.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import http.client
import importlib.util
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache"
VENV = CACHE / "venv"
COLLECTIONS = CACHE / "collections" / "ansible_collections"
# What measurements are compared with; nothing else sees it.
PEERS = CACHE / "peers" / "ansible_collections"
LOGS = CACHE / "log"

# Command that must be there -> Debian packages that bring it.
COMMANDS = {
    "git": ["git"],
    "make": ["make"],
    "ssh": ["openssh-client"],
    "ssh-keygen": ["openssh-client"],
    "debootstrap": ["debootstrap"],
    "zstd": ["zstd"],
    "shellcheck": ["shellcheck"],
    # tests start servers of their own from its programs
    "pg_lsclusters": ["postgresql"],
    "dockerd": ["docker.io"],
    "docker": ["docker-cli", "docker.io"],
}

# What the tests run for real beside the engine, on top of that.
TEST_COMMANDS = {
    "age": ["age"],
    "age-keygen": ["age"],
    "openssl": ["openssl"],
    "redis-check-rdb": ["redis-tools"],
}
TEST_SERVERS = {
    "pgbouncer": ["pgbouncer"],
    "nginx": ["nginx", "libnginx-mod-http-brotli-filter", "libnginx-mod-http-brotli-static"],
}
# docker-cli is part of docker.io on Debian 12 and a package of its own on Debian 13.
OPTIONAL = {"docker-cli"}

PYTHON_PINS = ("requirements.txt", "tools/requirements/lock.txt")
COLLECTION_WHEELS = ("tools/requirements/collections.txt", "tools/requirements/awx.txt")
COLLECTION_PINS = ("requirements.yml", *COLLECTION_WHEELS, "tools/requirements/peers.txt")


class SetupError(Exception):
    """A sentence for the person at the terminal."""


def say(text: str) -> None:
    print(f"setup: {text}", flush=True)


def run(argv: Sequence[str | Path], log: str, *, env: dict[str, str] | None = None) -> None:
    """Run a command with its output in a log file; on failure show the end of it."""
    LOGS.mkdir(parents=True, exist_ok=True)
    path = LOGS / f"{log}.log"
    with path.open("ab") as handle:
        handle.write(f"$ {' '.join(map(str, argv))}\n".encode())
        handle.flush()
        code = subprocess.run(
            [str(part) for part in argv],
            stdin=subprocess.DEVNULL,
            stdout=handle,
            stderr=subprocess.STDOUT,
            env=env,
            check=False,
        ).returncode
    if code:
        tail = "\n".join(path.read_text(errors="replace").splitlines()[-15:])
        raise SetupError(f"`{' '.join(map(str, argv))}` failed with code {code}. The end of {path}:\n{tail}")


def checksum(names: Sequence[str], *words: str) -> str:
    digest = hashlib.sha256()
    for word in words:
        digest.update(word.encode() + b"\0")
    for name in names:
        digest.update((ROOT / name).read_bytes() + b"\0")
    return digest.hexdigest()


def step(stamp: Path, wanted: str, text: str, work: Callable[[], None]) -> None:
    """Do the work unless the stamp says that it was done from the same inputs."""
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    say(f"{text} ...")
    started = time.monotonic()
    stamp.unlink(missing_ok=True)
    work()
    stamp.parent.mkdir(parents=True, exist_ok=True)
    stamp.write_text(wanted)
    say(f"{text}: done in {time.monotonic() - started:.0f} s")


# Debian packages


def find_command(name: str) -> str | None:
    # An ordinary user's PATH lacks the sbin directories where dockerd and debootstrap live.
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def missing_packages(commands: dict[str, list[str]]) -> list[str]:
    wanted: list[str] = []
    for command, packages in commands.items():
        if not find_command(command):
            wanted += packages
    if not (importlib.util.find_spec("venv") and importlib.util.find_spec("ensurepip")):
        wanted.append(f"python{sys.version_info[0]}.{sys.version_info[1]}-venv")
    return list(dict.fromkeys(wanted))


def known(package: str) -> bool:
    answer = subprocess.run(["apt-cache", "show", "--no-all-versions", package], capture_output=True, check=False)
    return answer.returncode == 0 and bool(answer.stdout)


def apt_get(*words: str) -> None:
    run(["apt-get", "-q", *words], "apt", env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})


def refresh_lists() -> None:
    say("refreshing the package lists (apt-get update) ...")
    apt_get("update")


def install(wanted: list[str]) -> None:
    if not shutil.which("apt-get"):
        raise SetupError(f"this is no Debian system and these are missing: {' '.join(wanted)}. Install them first.")
    if os.geteuid() != 0:
        raise SetupError(
            f"these packages are missing: run `sudo apt-get install {' '.join(wanted)}`, then run it again."
        )
    started = time.monotonic()
    if not all(known(package) for package in wanted if package not in OPTIONAL):
        refresh_lists()
    wanted = [package for package in wanted if package not in OPTIONAL or known(package)]
    unknown = [package for package in wanted if not known(package)]
    if unknown:
        raise SetupError(
            f"apt-get knows no package {' '.join(unknown)}. Is a Debian mirror reachable? {LOGS / 'apt.log'} says more."
        )
    say(f"installing {' '.join(wanted)} ...")
    words = ["-y", "--no-install-recommends", "install", *wanted]
    try:
        apt_get(*words)
    except SetupError:
        # The lists were there but older than the archive.
        refresh_lists()
        apt_get(*words)
    say(f"Debian packages: done in {time.monotonic() - started:.0f} s")


def install_packages(commands: dict[str, list[str]]) -> None:
    wanted = missing_packages(commands)
    if wanted:
        install(wanted)
        importlib.invalidate_caches()
        still = [command for command in commands if not find_command(command)]
        if still:
            raise SetupError(f"apt-get succeeded, yet these commands are still missing: {' '.join(still)}.")


def install_postgresql() -> None:
    """The server's programs, for servers that tests start themselves; the package must not start one of its own."""
    if any(Path("/usr/lib/postgresql").glob("*/bin/initdb")):
        return
    install(["postgresql-common"])
    config = Path("/etc/postgresql-common/createcluster.conf")
    before = config.read_text()
    config.write_text(f"{before}\ncreate_main_cluster = false\n")
    try:
        install(["postgresql"])
    finally:
        config.write_text(before)


def install_servers() -> None:
    """Programs of servers that tests start themselves; the packages must not start servers of their own."""
    wanted = missing_packages(TEST_SERVERS)
    if not wanted:
        return
    policy = Path("/usr/sbin/policy-rc.d")
    forbid = os.geteuid() == 0 and not policy.exists()
    if forbid:
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
    try:
        install(wanted)
    finally:
        if forbid:
            policy.unlink()
    if find_command("systemctl"):
        units = [f"{name}.service" for name in TEST_SERVERS]
        subprocess.run(["systemctl", "disable", "--quiet", *units], check=False, capture_output=True)


def link_redis() -> None:
    """Redis is one program that acts by its name; the package with the right name would start a server as well."""
    link = CACHE / "bin" / "redis-server"
    program = find_command("redis-check-rdb")
    if program and not find_command("redis-server") and not link.is_symlink():
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(program)


# Python


def venv_is_ours(version: str) -> bool:
    """Whether the environment was made by this very Python; one of another Python is made anew."""
    config = VENV / "pyvenv.cfg"
    lines = config.read_text().splitlines() if config.is_file() else []
    return f"executable = {os.path.realpath(sys.executable)}" in lines and f"version = {version}" in lines


def make_venv(version: str) -> None:
    if not venv_is_ours(version):
        shutil.rmtree(VENV, ignore_errors=True)
        run([sys.executable, "-m", "venv", VENV], "venv")
    run([VENV / "bin" / "pip", "install", "--disable-pip-version-check", "-r", ROOT / "requirements.txt"], "venv")


# Collections


def wanted_collections() -> dict[str, str]:
    """requirements.yml, read without a YAML parser: the file is ours and its form is tested."""
    text = (ROOT / "requirements.yml").read_text()
    return dict(re.findall(r"^ +- name: (\S+).*\n +version: (\S+)$", text, re.MULTILINE))


def peers() -> list[str]:
    lines = (ROOT / "tools/requirements/peers.txt").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def prefix(name: str) -> str:
    return f"ansible_collections/{name.replace('.', '/')}/"


def holder(archives: Sequence[zipfile.ZipFile], name: str) -> zipfile.ZipFile:
    """The first wheel that has the collection."""
    for archive in archives:
        if f"{prefix(name)}MANIFEST.json" in archive.namelist():
            return archive
    raise SetupError(
        f"No wheel of {' and '.join(COLLECTION_WHEELS)} has the collection {name}. "
        "Change what names it, or one of these."
    )


def unpack(archive: zipfile.ZipFile, name: str, into: Path) -> str:
    """One collection out of a wheel; its version."""
    archive.extractall(into, [member for member in archive.namelist() if member.startswith(prefix(name))])
    return str(json.loads(archive.read(f"{prefix(name)}MANIFEST.json"))["collection_info"]["version"])


def put(fresh: Path, place: Path) -> None:
    shutil.rmtree(place, ignore_errors=True)
    place.parent.mkdir(parents=True, exist_ok=True)
    (fresh / "ansible_collections").rename(place)


def download(pins: str, into: Path) -> Path:
    """The wheel that the file names."""
    run(
        [
            *(VENV / "bin" / "pip", "download", "--disable-pip-version-check", "--dest", into),
            # Only files are taken from the wheel, so it does not matter which Python it is meant for.
            *("--no-deps", "--ignore-requires-python", "--only-binary=:all:"),
            *("-r", ROOT / pins),
        ],
        "collections",
    )
    return next(into.glob("ansible-*.whl"))


def unpack_collections() -> None:
    place = CACHE / "download"
    shutil.rmtree(place, ignore_errors=True)
    wheels = [download(pins, place / Path(pins).stem) for pins in COLLECTION_WHEELS]
    with contextlib.ExitStack() as opened:
        archives = [opened.enter_context(zipfile.ZipFile(wheel)) for wheel in wheels]
        for name, version in wanted_collections().items():
            archive = holder(archives, name)
            found = unpack(archive, name, place / "needed")
            if found != version:
                raise SetupError(
                    f"{Path(archive.filename or '').name} has {name} {found}, but requirements.yml wants {version}. "
                    "Change one of them."
                )
        for name in peers():
            unpack(holder(archives, name), name, place / "peers")
    put(place / "needed", COLLECTIONS)
    put(place / "peers", PEERS)
    link_checkout()
    shutil.rmtree(place)


def link_checkout() -> None:
    link = COLLECTIONS / "slipway" / "vps"
    link.parent.mkdir(parents=True, exist_ok=True)
    if not (link.is_symlink() and os.readlink(link) == str(ROOT)):
        link.unlink(missing_ok=True)
        link.symlink_to(ROOT)


# Docker Engine


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=5)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def docker_answers() -> bool:
    host = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    if not host.startswith("unix://"):
        return subprocess.run(["docker", "version"], capture_output=True, check=False).returncode == 0
    try:
        connection = UnixConnection(host.removeprefix("unix://"))
        connection.request("GET", "/_ping")
        return connection.getresponse().status == http.client.OK
    except PermissionError:
        raise SetupError("this user may not talk to Docker. Run it as root, or join the group docker.") from None
    except OSError:
        return False


def start_docker() -> None:
    if docker_answers():
        return
    if os.environ.get("DOCKER_HOST"):
        raise SetupError(
            f"Docker does not answer at DOCKER_HOST={os.environ['DOCKER_HOST']}. Start it, or unset the variable."
        )
    if os.geteuid() != 0:
        raise SetupError("Docker Engine is not running. Start it (`sudo systemctl start docker`), then run it again.")
    say("starting Docker Engine ...")
    started = time.monotonic()
    log = LOGS / "dockerd.log"
    if Path("/run/systemd/system").is_dir():
        run(["systemctl", "start", "docker"], "docker")
    else:
        LOGS.mkdir(parents=True, exist_ok=True)
        # A pid file left by an engine that died stops the next one.
        Path("/var/run/docker.pid").unlink(missing_ok=True)
        with log.open("ab") as handle:
            engine = subprocess.Popen(
                [find_command("dockerd") or "dockerd"],
                stdin=subprocess.DEVNULL,
                stdout=handle,
                stderr=handle,
                start_new_session=True,
                cwd="/",
            )
        (CACHE / "dockerd.pid").write_text(f"{engine.pid}\n")
    deadline = started + 60
    while not docker_answers():
        if time.monotonic() > deadline:
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:]) if log.is_file() else ""
            raise SetupError(f"Docker Engine did not answer within 60 seconds. The end of {log}:\n{tail}")
        time.sleep(0.3)
    say(f"Docker Engine: started in {time.monotonic() - started:.0f} s")


# The file to source

ENV = """\
# Made by `make setup`; to be sourced: . .cache/env
SLIPWAY_ROOT='{root}'
export SLIPWAY_ROOT
case ":$PATH:" in
  *":$SLIPWAY_ROOT/.cache/venv/bin:"*) ;;
  *) PATH="$SLIPWAY_ROOT/.cache/venv/bin:$PATH:/usr/sbin:/sbin:$SLIPWAY_ROOT/.cache/bin"; export PATH ;;
esac
export VIRTUAL_ENV="$SLIPWAY_ROOT/.cache/venv"
export ANSIBLE_CONFIG="$SLIPWAY_ROOT/ansible.cfg"
export ANSIBLE_COLLECTIONS_PATH="$SLIPWAY_ROOT/.cache/collections"
# Ansible refuses to start without a UTF-8 locale.
case "${{LC_ALL:-${{LC_CTYPE:-${{LANG:-}}}}}}" in
  *[Uu][Tt][Ff]*8*) ;;
  *) export LC_ALL=C.UTF-8 ;;
esac
if [ -r "$SLIPWAY_ROOT/.cache/lab/env" ]; then . "$SLIPWAY_ROOT/.cache/lab/env"; fi
"""


def write_env() -> None:
    text = ENV.format(root=str(ROOT).replace("'", "'\\''"))
    path = CACHE / "env"
    if not (path.is_file() and path.read_text() == text):
        path.write_text(text)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--without-docker", action="store_true", help="do not start Docker Engine")
    parser.add_argument(
        "--for-tests",
        action="store_true",
        help="also install what the tests start: PostgreSQL, PgBouncer, Redis, Nginx, age",
    )
    options = parser.parse_args()
    started = time.monotonic()
    try:
        CACHE.mkdir(exist_ok=True)
        install_packages(COMMANDS | TEST_COMMANDS if options.for_tests else COMMANDS)
        if options.for_tests:
            install_postgresql()
            install_servers()
            link_redis()
        version = ".".join(map(str, sys.version_info[:3]))
        step(
            VENV / "made-from",
            checksum(PYTHON_PINS, sys.executable, version),
            f"virtual environment with Python {version}",
            lambda: make_venv(version),
        )
        (CACHE / "python").write_text(f"{sys.executable}\n")
        step(
            COLLECTIONS.parent / "made-from",
            checksum(COLLECTION_PINS),
            "collections from the package index",
            unpack_collections,
        )
        link_checkout()
        if not options.without_docker:
            start_docker()
        write_env()
    except SetupError as error:
        print(f"setup: {error}", file=sys.stderr)
        return 1
    say(f"ready in {time.monotonic() - started:.1f} s (source .cache/env to use it by hand)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
