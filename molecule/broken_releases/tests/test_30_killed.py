# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Killed at any moment: one consistent release serves afterwards, nobody has to help, and the next deploy works."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from slipway_crash import Crash
from slipway_lab import ROOT, Server
from slipway_load import Load

QUICKLY = ("-e", "stack_observe=2", "-e", "stack_drain_websocket=3")
RATE = float(os.environ.get("SLIPWAY_LOAD_RATE", "50"))
# Those that take their time; every single act is killed in the unit tests, and random moments are in tests/long.
BEFORE = ("pull", "migrate", "start", "probe", "switch", "observe")
PROVED = ("drain", "stop")
SERVED = ("succeeded", "finished after an interruption")
RECOVERY_SECONDS = 120


def deploy(server: Server, release: str, *more: str) -> str:
    return server.playbook("deploy", "-e", f"stack_release={release}", *QUICKLY, *more).output


def another(release: str) -> str:
    return "1.0.1" if release != "1.0.1" else "1.1.0"


@pytest.fixture(scope="module")
def crash(server: Server) -> Crash:
    return Crash(server)


@pytest.fixture(scope="module", autouse=True)
def registry(crash: Crash) -> Iterator[None]:
    yield
    crash.unblock_registry()


def test_a_release_may_be_killed_in_any_phase(server: Server, crash: Crash) -> None:
    """Without a controller, and without a request being lost."""
    late = []
    serving = crash.consistent()["serving"]
    with Load(server, rate=RATE, websockets=3) as load:
        for phase in (*BEFORE, *PROVED):
            release = another(serving)
            death = crash.kill(release, phase)
            assert death.killed > 0, f"the job ended before it was killed in phase {phase}"
            end = crash.consistent()
            finished = end["result"] in SERVED
            assert end["serving"] == (release if finished else serving)
            if death.phase == phase:
                assert finished == (phase in PROVED), (death, end)
            else:
                late.append((phase, death.phase))
            error = crash.result(death.job)["error"]["message"] if death.phase != "idle" else "was killed"
            assert "was killed" in error
            serving = end["serving"]
    assert load.report.lost == 0, str(load.report)
    # A phase of a few milliseconds may be over before its end comes.
    assert len(late) <= 1, late


def test_the_next_deploy_works_and_says_how_the_killed_ones_ended(server: Server, crash: Crash) -> None:
    release = another(crash.consistent()["serving"])
    said = " ".join(deploy(server, release).split())
    assert "lost its controller and ended by itself: The process of this job" in said
    assert crash.consistent()["serving"] == release
    again = server.playbook("deploy", "-e", f"stack_release={release}", *QUICKLY)
    assert "lost its controller" not in again.output
    assert again.changed == {server.name: 0}


def kill_all_that_know(word: str) -> None:
    """Ansible's workers and their ssh are in sessions of their own; what they have in common is their environment."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            known = (process / "environ").read_bytes() + (process / "cmdline").read_bytes()
        except OSError:
            continue
        if word.encode() in known:
            os.kill(int(process.name), signal.SIGKILL)


def test_a_lost_connection_loses_no_release(server: Server, crash: Crash, tmp_path: Path) -> None:
    """The controller and its ssh die while the new slot starts; the release ends by itself, the next run says how."""
    release = another(crash.consistent()["serving"])
    controls = tmp_path / "ssh"
    command = ["ansible-playbook", "--inventory", "inventories/demo", *server.INVENTORIES, "--limit", server.name]
    words = [*command, "playbooks/deploy.yml", "-e", f"stack_release={release}", *QUICKLY]
    environment = {
        **os.environ,
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_SSH_CONTROL_PATH_DIR": str(controls),
    }
    with (tmp_path / "output").open("w") as output:
        controller = subprocess.Popen(
            words,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    deadline = time.monotonic() + 240
    while crash.look()["state"]["phase"] not in ("prepare", "migrate", "start"):
        assert time.monotonic() < deadline and controller.poll() is None, (tmp_path / "output").read_text()[-2000:]
    controller.kill()
    controller.wait()
    kill_all_that_know(str(controls))
    assert crash.consistent()["serving"] == release
    said = " ".join(deploy(server, release).split())
    assert f"The deploy of shop {release}" in said
    assert f"lost its controller and ended by itself: release {release}" in said


@pytest.mark.long
def test_a_second_deploy_waits_or_says_who_holds_the_lock(server: Server, crash: Crash) -> None:
    release = another(crash.consistent()["serving"])
    crash.hold_lock(60)
    refused = server.play("deploy", "-e", f"stack_release={release}", *QUICKLY, "-e", "stack_lock_wait=1")
    said = " ".join(refused.output.split())
    assert refused.code != 0
    assert "is held by deploy of shop (pid" in said
    assert "asked for by somebody else) since 20" in said
    assert crash.consistent(locked=True)["serving"] != release
    deploy(server, release, "-e", "stack_lock_wait=120")
    assert crash.consistent()["serving"] == release


@pytest.mark.long
def test_docker_restarts_in_the_middle_of_a_release(server: Server, crash: Crash) -> None:
    """What is lost meanwhile is Docker's own; afterwards there is one release, by itself."""
    serving = crash.consistent()["serving"]
    release = another(serving)
    with Load(server, rate=RATE) as load:
        death = crash.restart_docker(release, "start")
        end = crash.consistent()
        recovered = time.time()
        time.sleep(3)
    assert recovered - death.at < RECOVERY_SECONDS
    assert end["serving"] == (release if end["result"] in SERVED else serving)
    assert [sample for sample in load.report.samples if sample.due > recovered and sample.reason] == []


@pytest.mark.parametrize(("phase", "verb"), [("start", "stop"), pytest.param("drain", "kill", marks=pytest.mark.long)])
def test_the_server_goes_down_and_comes_back_without_registry_and_controller(
    server: Server, crash: Crash, phase: str, verb: str
) -> None:
    """Told to stop before the release has proved itself, and cut off after it has."""
    serving = crash.consistent()["serving"]
    release = another(serving)
    death = crash.block_registry_in(release, phase)
    assert death.phase == phase
    subprocess.run(["docker", verb, f"slipway-lab-{server.name}"], check=True, capture_output=True)
    subprocess.run(["python3", "molecule/lab/lab.py", "up", "--hosts", server.name], cwd=ROOT, check=True)
    seconds = crash.reachable(RECOVERY_SECONDS)
    end = crash.consistent()
    assert end["serving"] == (release if phase == "drain" else serving), end
    assert "registry" not in crash.vps.check_output("journalctl --boot --unit slipway-stack@shop --output cat")
    crash.unblock_registry()
    deploy(server, another(end["serving"]))
    assert seconds < RECOVERY_SECONDS
