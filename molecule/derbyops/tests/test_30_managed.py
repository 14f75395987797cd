# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A league whose PostgreSQL is a managed one: a server elsewhere, over TLS, and no database container here."""

from __future__ import annotations

import io
import json
import secrets
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from slipway_lab import ROOT
from slipway_leagues import TWO, Leagues

PROVIDER = "slipway-lab-provider"
ADDRESS = "10.77.0.9"
POSTGRES_USER = 999
PASSWORDS = ROOT / ".cache/demo/derbyops"
TLS = ("cert.pem", "key.pem")

pytestmark = pytest.mark.long


def docker(*words: str, **more: Any) -> bytes:
    return subprocess.run(["docker", *words], check=True, capture_output=True, **more).stdout


@pytest.fixture(scope="module")
def password() -> str:
    """The one that the inventory's lookup finds."""
    PASSWORDS.mkdir(parents=True, exist_ok=True)
    kept = PASSWORDS / "delta"
    if not kept.exists():
        kept.touch(mode=0o600)
        kept.write_text(f"{secrets.token_hex(16)}\n")
    return kept.read_text().split()[0]


@pytest.fixture(scope="module")
def authority(password: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A provider's PostgreSQL in the lab's network, with a certificate that is its own authority."""
    place = tmp_path_factory.mktemp("provider")
    subprocess.run(
        [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "30",
        ]
        + ["-subj", f"/CN={ADDRESS}", "-addext", f"subjectAltName=IP:{ADDRESS}"]
        + ["-keyout", str(place / "key.pem"), "-out", str(place / "cert.pem")],
        check=True,
        capture_output=True,
    )
    [image, *_older] = docker("image", "ls", "slipway-lab/postgres-17", "--format", "{{.Repository}}:{{.Tag}}").split()
    docker("rm", "--force", "--volumes", PROVIDER)
    environment = {"POSTGRES_USER": "league", "POSTGRES_PASSWORD": password, "POSTGRES_DB": "league"}
    given = [word for name, value in environment.items() for word in ("--env", f"{name}={value}")]
    settings = [f"ssl_{name}_file=/tls/{file}" for name, file in zip(("cert", "key"), TLS, strict=True)]
    options = [word for setting in ("ssl=on", *settings) for word in ("-c", setting)]
    network = ("--label", "slipway-lab", "--network", "slipway-lab", "--ip", ADDRESS)
    docker("create", "--name", PROVIDER, *network, *given, image.decode(), "postgres", *options)
    docker("cp", "-", f"{PROVIDER}:/", input=archive(place))
    docker("start", PROVIDER)
    yield place / "cert.pem"
    docker("rm", "--force", "--volumes", PROVIDER)


def archive(place: Path) -> bytes:
    """The key has to be the server's own."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        for name in TLS:
            info = tar.gettarinfo(str(place / name), f"tls/{name}")
            info.uid, info.gid, info.mode = POSTGRES_USER, POSTGRES_USER, 0o600
            with (place / name).open("rb") as file:
                tar.addfile(info, file)
    return content.getvalue()


def test_a_league_on_a_managed_postgresql(leagues: Leagues, authority: Path) -> None:
    before = {stack: leagues.containers(stack) for stack in TWO}
    delta = {
        "stack_name": "delta",
        "instance_title": "Delta Falls",
        "stack_compose_file": "{{ inventory_dir }}/../files/compose.managed.yml",
        "stack_data_services": [],
        "stack_files": [{"dest": "provider-ca.pem", "src": str(authority)}],
        "stack_database": {
            "host": ADDRESS,
            "port": 5432,
            "name": "league",
            "user": "league",
            "password": "{{ stack_secrets.POSTGRES_PASSWORD }}",
            "sslmode": "verify-full",
            "ca_cert": "/srv/delta/files/provider-ca.pem",
        },
        "backup_drill_image": "registry.lab.test:5000/library/postgres:17",
    }
    leagues.stacks.append(delta)
    leagues.playbook("site", "-e", "stack_instance=delta")
    assert leagues.server.web.ask(leagues.api("delta"), "/ready").json()["checks"]["database"] == "ok"
    assert not [name for name in leagues.containers("delta") if name.startswith("delta-data-")]
    found = docker("exec", PROVIDER, "psql", "--username", "league", "-Atc", "SELECT count(*) FROM public.plans")
    assert found.split() == [b"2"]
    uses = docker(
        "exec", PROVIDER, "psql", "--username", "league", "-Atc",
        "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE client_addr IS NOT NULL",
    )  # fmt: skip
    assert uses.split() == [b"t"]
    assert json.loads(leagues.output("slipway backup list delta --json"))
    assert {stack: leagues.containers(stack) for stack in TWO} == before
    leagues.stacks.remove(delta)
    leagues.playbook("remove", "-e", "stack_name=delta", "-e", "remove_data=delta")
