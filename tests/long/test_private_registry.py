# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A registry that wants a login: role docker logs in, a release pulls, and the password is nowhere else."""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from slipway_arguments import ArgumentWatch
from slipway_lab import Server
from slipway_shop import Shop

# Docker asks a registry on a loopback address without TLS.
REGISTRY = "127.0.0.1:5999"
IMAGE = f"{REGISTRY}/private/app"
PLACE = "/var/tmp/private-registry"
USER, PASSWORD = "puller", "a-word-for-this-test"
HASH = "$2y$05$abcdefghijklmnopqrstuunVldKWy2wl6v7kDZ7XbQ8UzMLhcOrke"
CONFIG = {
    "version": 0.1,
    "storage": {"filesystem": {"rootdirectory": f"{PLACE}/data"}},
    "http": {"addr": REGISTRY},
    "auth": {"htpasswd": {"realm": "private", "path": f"{PLACE}/htpasswd"}},
}


@pytest.fixture(scope="module")
def registry(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The lab's registry program once more, on the server itself, and this time it asks who is there."""
    directory: Path = tmp_path_factory.mktemp("registry")
    program = directory / "private-registry"
    password = directory / "password"
    password.write_text(PASSWORD)
    container = f"slipway-lab-{server.name}"
    server.vps.check_output(f"mkdir --parents {PLACE}")
    for source, target in (
        ("slipway-lab-registry:/usr/bin/docker-registry", str(program)),
        (str(program), f"{container}:{PLACE}/registry"),
        # Not in a command: sudo writes those into the journal.
        (str(password), f"{container}:{PLACE}/password"),
    ):
        subprocess.run(["docker", "cp", source, target], check=True, capture_output=True)
    for name, content in (("config.yml", json.dumps(CONFIG)), ("htpasswd", f"{USER}:{HASH}\n")):
        server.vps.check_output(f"printf %s {shlex.quote(content)} > {PLACE}/{name}")
    serve = f"{PLACE}/registry serve {PLACE}/config.yml"
    server.vps.check_output(f"systemd-run --quiet --collect --unit=private-registry {serve}")
    variables = directory / "registries.json"
    variables.write_text(
        json.dumps({"docker_registries": [{"host": REGISTRY, "username": USER, "password": PASSWORD}]})
    )
    variables.chmod(0o600)
    yield variables
    server.vps.check_output(f"docker logout {REGISTRY}; systemctl stop private-registry; rm -rf {PLACE}")


def test_a_login_is_used_and_never_shown(
    server: Server, registry: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    shop = Shop(server, tmp_path_factory.mktemp("shop"))
    shop.compose["services"]["api"]["image"] = f"{IMAGE}:${{RELEASE}}"
    with ArgumentWatch(server) as watch:
        play = server.playbook("site", "--tags", "docker", "--extra-vars", f"@{registry}")
        for command in ("pull --quiet", "tag", "push --quiet", "rmi"):
            source = "registry.lab.test:5000/shop/app:1.0.1"
            words = {"pull --quiet": source, "tag": f"{source} {IMAGE}:1.0.1"}
            server.vps.check_output(f"docker {command} {words.get(command, f'{IMAGE}:1.0.1')}")
        # Without the login there is nothing to be had.
        refused = server.vps.run(f"docker --config /nonexistent pull {IMAGE}:1.0.1")
        assert refused.rc != 0 and "no basic auth" in refused.stderr
        released = shop.deploy("1.0.1", stack_force=True)
    assert shop.history()[0]["images"]["api"].startswith(f"{IMAGE}@sha256:")
    assert server.web.ask(f"api.{server.zone}", "/version").json()["release"] == "1.0.1"

    login = server.vps.file("/root/.docker/config.json")
    assert (login.mode, login.user) == (0o600, "root")
    assert "docker compose" in watch.seen
    logs = server.vps.check_output("journalctl --no-pager --since -1h; cat /var/lib/slipway/jobs/*/events.jsonl")
    for place in (watch.seen, logs, play.output, released.output):
        assert PASSWORD not in place
    search = f"grep --recursive --files-with-matches --file {PLACE}/password"
    assert server.vps.run(f"{search} /srv/shop /var/lib/slipway /etc/slipway").stdout == ""
