# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The examples of `ansible-doc slipway.vps.health_probe` as a play, with real servers for those of example.org."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest
import yaml

from ansible_collections.slipway.vps.plugins.modules import health_probe
from ansible_collections.slipway.vps.tests.unit.postgres_server import PASSWORD

ROOT = Path(__file__).resolve().parents[3]
pytestmark = pytest.mark.slow
EXAMPLES = yaml.safe_load(health_probe.EXAMPLES)


@pytest.fixture
def place(tmp_path, web, serving, authority, postgres, closed_port):
    """What the examples talk of, on this machine."""
    with serving(authority.issue("localhost", 90)) as secure:
        yield SimpleNamespace(
            tmp=tmp_path,
            web=web,
            secure=secure,
            ca=str(authority.file),
            database=postgres,
            closed=closed_port,
            report=tmp_path / "probes.xml",
        )


def here(task, place):
    """The same task with this machine's ports."""
    arguments = {**task["slipway.vps.health_probe"]}
    arguments["probes"] = [ours(probe, place) for probe in arguments["probes"]]
    if "output" in arguments:
        arguments["output"] = {"junit": str(place.report)}
    return {**task, "slipway.vps.health_probe": arguments}


def ours(probe, place):
    replaced = {
        "https://api.example.org/health": f"https://localhost:{place.secure.server_port}/health",
        "api.example.org": f"localhost:{place.secure.server_port}",
        "http://127.0.0.1:8080/ready": f"http://127.0.0.1:{place.web.server_port}/ready",
        "db.example.org": "127.0.0.1",
        "shop.example.org:5432": f"127.0.0.1:{place.closed}",
        "/": "/",
    }
    # An example that names anything else has no place here yet: this fails.
    moved = {**probe, "target": replaced[probe["target"]]}
    if "localhost" in moved["target"]:
        moved["ca_file"] = place.ca
    if probe["type"] == "postgres":
        moved.update(login_user="postgres", login_db="postgres", login_port=place.database.port)
    if "interval" in probe:
        moved["interval"] = 0.1
    return moved


def play(place, *words):
    tasks = [{**here(task, place), "register": f"seen_{index}"} for index, task in enumerate(EXAMPLES)]
    seen = "[" + ", ".join(f"seen_{index}" for index in range(len(tasks))) + "]"
    keep = {
        "ansible.builtin.copy": {
            "content": "{{ " + seen + " | to_json }}",
            "dest": str(place.tmp / "seen"),
            "mode": "0600",
        },
        "check_mode": False,
        "diff": False,
    }
    content = [{"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": [*tasks, keep]}]
    (place.tmp / "play.json").write_text(json.dumps(content))
    variables = json.dumps({"shop_database_password": PASSWORD})
    command = ["ansible-playbook", "-i", "localhost,", "-e", variables, str(place.tmp / "play.json"), *words]
    environment = {**os.environ, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads((place.tmp / "seen").read_text()), done.stdout


def test_every_example_runs(place):
    seen, output = play(place)
    assert [[probe["status"] for probe in one["probes"]] for one in seen] == [["ok"] * 4, ["ok"], ["ok"]]
    assert [one["changed"] for one in seen] == [False] * len(EXAMPLES)
    assert seen[1]["probes"][0]["attempts"] == 3
    assert seen[2]["reports"] == [str(place.report)]
    assert ElementTree.parse(place.report).getroot().attrib["failures"] == "0"
    assert PASSWORD not in output


def test_check_mode_probes_too_and_a_diff_shows_nothing(place):
    seen, output = play(place, "--check", "--diff", "-vvv")
    assert [one["status"] for one in seen] == ["ok"] * len(EXAMPLES)
    assert [path for path, _headers in place.secure.seen] == ["/health"]
    assert seen[2]["reports"] == [] and not place.report.exists()
    assert "diff" not in seen[0] and "+++" not in output and "--- before" not in output
    assert PASSWORD not in output
