# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One sentence for each mistake, and a host that is as it was."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from slipway_lab import ROOT, run_playbook

COMPOSE = ROOT / "tests/fixtures/sample_app/deploy/compose.yml"

# Everything that is managed, by mode, owner and content. Left out is what a run writes although it does nothing:
# locks, the log that records a refused release too, and the number that such a release has used up.
MANAGED = (
    "/etc /srv /usr/lib/slipway /var/backups/slipway -xdev -type f"
    " ! -name '*.lock' ! -name '*.holder' ! -path '/srv/*/*releases.jsonl*' ! -path '/srv/*/state.json'"
)
FINGERPRINT = (
    f"find {MANAGED} -printf '%p %m %u\\n' | sort; find {MANAGED} -exec sha256sum '{{}}' + | sort;"
    " sed '/next_release/d' /srv/*/state.json;"
    " docker ps --all --no-trunc --format '{{.ID}} {{.Image}}' | sort;"
    " docker volume ls --quiet | sort; docker network ls --quiet | sort;"
    " nft list ruleset | sed 's/packets [0-9]* bytes [0-9]*//' | grep --invert-match ' f2b-' | sha256sum"
)


@dataclass(frozen=True)
class Mistake:
    name: str
    playbook: str
    variables: dict[str, Any]
    sentence: str
    arguments: tuple[str, ...] = field(default=())


MISTAKES = [
    Mistake("wrong_type", "deploy", {"stack_routes": "api"}, r"stack_routes"),
    Mistake("empty_release", "deploy", {"stack_release": ""}, r"stack_release"),
    Mistake("domain_elsewhere", "site", {"stack_domain": "elsewhere.test"}, r"elsewhere\.test"),
    Mistake("bucket_refuses", "site", {"backup_s3_bucket": "not-ours"}, r"not-ours"),
    Mistake(
        "no_cpu_weight",
        "site",
        {"docker_background_cpu_weight": 0},
        r"docker_background_cpu_weight is 0",
        ("--tags", "docker"),
    ),
    Mistake("no_such_image", "deploy", {"stack_release": "9.9.9"}, r"shop/app:9\.9\.9"),
    Mistake(
        "hostile_tenant",
        "tenants",
        {"tenants_list": [{"slug": 'x"; drop schema public; --'}]},
        r"slug|tenant",
    ),
    Mistake(
        "database_unreachable",
        "tenants",
        {"stack_database": {"host": "10.77.0.99", "name": "shop", "user": "shop", "password": "x"}},
        r"10\.77\.0\.99",
    ),
]


@pytest.fixture
def untouched(vps: Any) -> Iterator[None]:
    before = vps.check_output(FINGERPRINT)
    yield
    after = vps.check_output(FINGERPRINT)
    assert set(after.splitlines()) ^ set(before.splitlines()) == set()


def told(output: str, sentence: str) -> bool:
    """The failure is a sentence about the cause, and no traceback."""
    failure = output[output.find("FAILED!") if "FAILED!" in output else output.find("ERROR") :]
    return bool(re.search(sentence, failure)) and "Traceback (most recent call last)" not in output


def refused(playbook: str, variables: dict[str, Any], sentence: str, *arguments: str) -> None:
    play = run_playbook(playbook, "--extra-vars", json.dumps(variables), *arguments)
    assert play.code != 0, play.output[-3000:]
    assert told(play.output, sentence), play.output[-6000:]


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.name)
@pytest.mark.usefixtures("untouched")
def test_mistake(mistake: Mistake) -> None:
    refused(mistake.playbook, mistake.variables, mistake.sentence, *mistake.arguments)


@pytest.fixture
def port_taken(vps: Any) -> Iterator[int]:
    """A port that the stack could want and that a program of somebody else's has."""
    port = 8077
    vps.check_output(f"systemd-run --quiet --collect --unit=somebody python3 -m http.server {port}")
    yield port
    vps.check_output("systemctl stop somebody")


@pytest.mark.usefixtures("untouched")
def test_everything_that_is_wrong_is_told_at_once(vps: Any, port_taken: int) -> None:
    play = run_playbook(
        "site",
        "--extra-vars",
        json.dumps(
            {
                "preflight_memory_mb": 10**6,
                "preflight_memory_policy": "fail",
                "preflight_cores": 1000,
                "preflight_cores_policy": "fail",
                "preflight_disk_gb": 10**6,
                "preflight_clock_reference": time.time() - 31,
                "preflight_domains": ["elsewhere.test"],
                "preflight_ports": [80, 443, port_taken],
                "preflight_registries": ["registry.lab.test:5999"],
                "stack_secrets": {"POSTGRES_PASSWORD": "changeme", "REDIS_PASSWORD": "", "JWT": "letmein-2026"},
                "backup_s3_bucket": "not-ours",
            }
        ),
    )
    assert play.code != 0
    said = " ".join(play.output.split())
    for sentence in (
        r"Nothing was changed on shop1, because 11 problems must be solved first",
        r"MiB of memory and 1000000 MiB are needed",
        r"cores? and 1000 are needed",
        r"/ has [\d.]+ GiB free and 1e\+06 GiB are needed",
        r"The clock of this host is \d+ s ahead of the controller's",
        r"elsewhere.test points to 10.77.0.99 and this host is",
        rf"Port {port_taken} is taken by python3",
        r"The image registry at https://registry.lab.test:5999/v2/ does not answer this host",
        r"This secret is empty: REDIS_PASSWORD",
        r"This secret is a default or easy to guess: JWT",
        r"This secret has the value of an example still: POSTGRES_PASSWORD",
        r"not-ours",
    ):
        assert re.search(sentence, said), (sentence, play.output[-6000:])
    assert "letmein" not in play.output


def compose_with(tmp_path: Path, service: str, **change: Any) -> dict[str, str]:
    content = yaml.safe_load(COMPOSE.read_text())
    content["services"][service].update(change)
    path = tmp_path / "compose.yml"
    path.write_text(yaml.safe_dump(content))
    return {"stack_compose_file": str(path)}


@pytest.mark.usefixtures("untouched")
def test_container_name(tmp_path: Path) -> None:
    refused("deploy", compose_with(tmp_path, "api", container_name="api"), r"container_name")


@pytest.mark.usefixtures("untouched")
def test_published_database(tmp_path: Path) -> None:
    refused(
        "deploy", compose_with(tmp_path, "postgres", ports=["5432:5432"]), r"postgres.*ports|ports.*postgres|publish"
    )


@pytest.mark.usefixtures("untouched")
def test_missing_variable(tmp_path: Path) -> None:
    """An inventory in which nobody has written down the stack's domain."""
    inventory = tmp_path / "inventory"
    folder = inventory / "group_vars/vps"
    folder.mkdir(parents=True)
    demo = ROOT / "inventories/demo"
    hosts = (demo / "hosts.yml").read_text().replace("{{ inventory_dir }}/../..", str(ROOT))
    (inventory / "hosts.yml").write_text(hosts)
    for path in (demo / "group_vars/vps").glob("*.yml"):
        lines = path.read_text().splitlines(keepends=True)
        (folder / path.name).write_text("".join(line for line in lines if not line.startswith("stack_domain:")))
    play = run_playbook("site", inventory=str(inventory))
    assert play.code != 0
    assert told(play.output, r"stack_domain"), play.output[-6000:]


def test_unknown_system(vps: Any) -> None:
    """The host calls itself something that nobody has tested."""
    release = vps.file("/usr/lib/os-release").content_string
    version = vps.file("/etc/debian_version").content_string
    strange = 'NAME="Slackware"\\nID=slackware\\nVERSION_ID="15.0"\\nPRETTY_NAME="Slackware 15.0"\\n'
    vps.check_output("cp --archive /usr/lib/os-release /root/os-release")
    vps.check_output(f"printf '{strange}' > /usr/lib/os-release && mv /etc/debian_version /root/debian_version")
    try:
        before = vps.check_output(FINGERPRINT)
        play = run_playbook("site")
        assert vps.check_output(FINGERPRINT) == before
    finally:
        vps.check_output("mv /root/debian_version /etc/debian_version")
        vps.check_output("mv /root/os-release /usr/lib/os-release")
    assert vps.file("/usr/lib/os-release").content_string == release
    assert vps.file("/etc/debian_version").content_string == version
    assert play.code != 0
    assert told(play.output, r"Slackware"), play.output[-6000:]
