# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Containers of a real Docker Engine, from an image that is made of this machine's own shell."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import tarfile
import time
import uuid

import pytest

pytestmark = pytest.mark.docker


def engine_answers():
    docker = shutil.which("docker")
    return docker is not None and subprocess.run([docker, "info"], capture_output=True, check=False).returncode == 0


def docker(*words, stdin=None):
    return subprocess.run(["docker", *words], input=stdin, capture_output=True, check=True).stdout.decode().strip()


def shell_image():
    """A root file system of two programs and the libraries that they need."""
    programs = {f"bin/{name}": shutil.which(name) for name in ("sh", "sleep")}
    needed = "".join(
        subprocess.run(["ldd", path], capture_output=True, check=True, text=True).stdout for path in programs.values()
    )
    libraries = set(re.findall(r"(/\S+) \(0x", needed))
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", dereference=True) as archive:
        for name, path in programs.items():
            archive.add(path, name)
        for path in sorted(libraries):
            archive.add(path, path.lstrip("/"))
    return buffer.getvalue()


@pytest.fixture(scope="module")
def run():
    """Start a container of this test; all of them and the image are removed at the end."""
    if not engine_answers():
        pytest.skip("no Docker Engine answers on this machine")
    mark = f"slipway-probe-{uuid.uuid4().hex[:8]}"
    docker("import", "-", f"{mark}:test", stdin=shell_image())
    names = []

    def start(name, *command, options=()):
        names.append(f"{mark}-{name}")
        docker("run", "--detach", "--network", "none", "--name", names[-1], *options, f"{mark}:test", *command)
        return names[-1]

    try:
        yield start
    finally:
        if names:
            docker("rm", "--force", *names)
        docker("rmi", f"{mark}:test")


def health(command):
    return ["--health-cmd", command, "--health-interval", "200ms", "--health-retries", "1"]


def until(condition, seconds=15):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end
        time.sleep(0.1)
    return found


def test_one_container(run, probe):
    plain = run("plain", "sleep", "600")
    good = probe(type="container", target=plain)
    assert (good.status, good.message) == ("ok", "is running")
    assert good.observed["containers"][0]["name"] == plain
    assert probe(type="container", target=plain, healthy=True).message == "has no health check"


def test_health_checks(run, probe):
    well = run("well", "sleep", "600", options=health("exit 0"))
    ill = run("ill", "sleep", "600", options=health("exit 1"))
    until(lambda: probe(type="container", target=well).message == "is healthy")
    until(lambda: probe(type="container", target=ill).message == "is unhealthy")
    assert probe(type="container", target=ill).status == "fail"


def test_ended_and_missing_containers(run, probe):
    ended = run("ended", "sh", "-c", "exit 3")
    seen = until(lambda: (found := probe(type="container", target=ended)).status == "fail" and found)
    assert seen.message == "is exited (exit status 3)"
    missing = probe(type="container", target="slipway-nonesuch")
    assert missing.message == "There is no container named slipway-nonesuch."


def test_a_container_that_keeps_restarting(run, probe):
    run("unstable", "sh", "-c", "exit 1", options=["--restart", "on-failure:3"])
    steady = run("steady", "sleep", "600")
    until(lambda: probe(type="container", target=steady).status == "ok")
    name = steady.replace("steady", "unstable")
    seen = until(
        lambda: (found := probe(type="container", target=name)).observed["containers"][0]["restarts"] >= 3 and found
    )
    assert seen.status == "fail"


def test_the_containers_of_a_stacks_service(run, probe):
    stack = f"probe{uuid.uuid4().hex[:8]}"
    for slot, number in (("blue", 1), ("blue", 2), ("green", 1)):
        labels = {"project": f"{stack}-{slot}", "service": "api", "oneoff": "False"}
        options = [f"--label=com.docker.compose.{key}={value}" for key, value in labels.items()]
        run(f"{stack}-{slot}-{number}", "sleep", "600", options=options)
    # Without a flag file it is blue that serves.
    both = probe(type="container", target="api", stack=stack, count=2)
    assert (both.status, both.message) == ("ok", "2 containers run")
    assert both.target == f"api of {stack} (active)"
    assert probe(type="container", target="api", stack=stack, slot="green").message == "is running"
    short = probe(type="container", target="api", stack=stack, count=3)
    assert (short.status, short.message) == ("fail", "2 of 3 containers are there")
