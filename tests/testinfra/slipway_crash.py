# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Releases that are started and killed on the server itself, without any controller, and what is left of them."""

from __future__ import annotations

import json
import shlex
import time
from dataclasses import dataclass
from typing import Any

from slipway_lab import Server

STACK = "shop"
# Starts the last release request with another name and, when a phase is on record (or some time has passed), kills
# every process of the job at once. The killer watches the state file, as anything outside of the engine may.
KILLER = """
import json, os, signal, subprocess, sys, time
sys.path.insert(0, "/usr/lib/slipway")
from slipway.agent import jobs
from slipway.operations import ci
from slipway.release.host import Host
from slipway.release.paths import StackPaths
from slipway.common.events import Emitter

name, phase, after, deed = sys.argv[1], sys.argv[2], float(sys.argv[3]), sys.argv[4]
store = Host(StackPaths("shop"), Emitter.null()).store
request = {**ci.again(store.last_request(), name, "a test"), "observe": 2, "drain_websocket": 3, "drain_http": 5}
job = jobs.start("release.deploy", request, f"deploy of shop {name}")
started = looked = time.monotonic()
place = f"background.slice/{jobs.unit(job)}/cgroup.procs"
groups = [f"/sys/fs/cgroup/{tree}{place}" for tree in ("", "unified/", "systemd/")]
while True:
    current = json.load(open("/srv/shop/state.json"))["phase"]
    now = time.monotonic()
    seconds = now - started
    if (current == phase and not after) or (after and seconds >= after):
        break
    if now - looked > 2:
        looked = now
        if jobs.view(job).finished:
            break
    time.sleep(0.001)
members = {int(line) for group in groups if os.path.exists(group) for line in open(group)}
for member in members if deed == "kill" else ():
    try:
        os.kill(member, signal.SIGKILL)
    except ProcessLookupError:
        pass
at = time.time()
recorded = json.load(open("/srv/shop/state.json"))["phase"]
if deed == "block":
    open("/etc/hosts", "a").write("127.0.0.9 registry.lab.test\\n")
elif deed == "restart":
    subprocess.run(["systemctl", "restart", "docker"], check=True)
print(json.dumps({"job": job, "phase": recorded, "killed": len(members), "at": at}))
"""
HOLDER = """
import sys, time
sys.path.insert(0, "/usr/lib/slipway")
from slipway.common.lock import FileLock

with FileLock("/srv/shop/release.lock", what="deploy of shop", holder={"by": "somebody else"}):
    time.sleep(float(sys.argv[1]))
"""
LOOK = """
import fcntl, json, os, subprocess

def ask(*words):
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout

labels = "{{.State}} {{.Label \\"vps.slipway.slot\\"}} {{.Label \\"vps.slipway.service\\"}}"
listed = ask("docker", "ps", "--filter", "label=vps.slipway.stack=shop", "--format", labels)
with open("/srv/shop/release.lock") as lock:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        locked = False
    except BlockingIOError:
        locked = True
print(json.dumps({
    "state": json.load(open("/srv/shop/state.json")),
    "units": ask("systemctl", "list-units", "--no-legend", "--plain", "slipway-job-release-*").strip(),
    "releases": json.loads(ask("slipway", "release", "list", "shop", "--json")),
    "flag": "green" if os.path.exists("/srv/shop/slot.green") else "blue",
    "running": [line.split()[1:] for line in listed.splitlines() if line.startswith("running ")],
    "locked": locked,
}))
"""


@dataclass(frozen=True)
class Death:
    """A job that was killed: in which phase, as it is on record, and when."""

    job: str
    phase: str
    killed: int
    at: float


class Crash:
    """What is done to the server, and how it is afterwards."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.vps = server.vps

    def _release(self, release: str, phase: str, after: float, deed: str) -> Death:
        words = ["python3", "-c", KILLER, release, phase, str(after), deed]
        return Death(**json.loads(self.vps.check_output(shlex.join(words))))

    def kill(self, release: str, phase: str = "", after: float = 0.0) -> Death:
        """Release, and kill the job in this phase or after these seconds."""
        return self._release(release, phase, after, "kill")

    def restart_docker(self, release: str, phase: str) -> Death:
        """Release, and restart Docker in this phase."""
        return self._release(release, phase, 0.0, "restart")

    def block_registry_in(self, release: str, phase: str) -> Death:
        """Release, and let the registry's name lead nowhere from this phase on; the job goes on."""
        return self._release(release, phase, 0.0, "block")

    def block_registry(self) -> None:
        """The registry's name leads nowhere from now on."""
        self.vps.check_output("sh -c 'echo 127.0.0.9 registry.lab.test >> /etc/hosts'")

    def unblock_registry(self) -> None:
        # In place: the file may be a mount.
        self.vps.check_output("sh -c 'sed /^127.0.0.9/d /etc/hosts > /tmp/hosts && cat /tmp/hosts > /etc/hosts'")

    def hold_lock(self, seconds: int) -> None:
        """Another release, as far as the lock is concerned."""
        words = ["systemd-run", "--collect", "--quiet", "python3", "-c", HOLDER, str(seconds)]
        self.vps.check_output(shlex.join(words))
        time.sleep(1)

    def reachable(self, seconds: float) -> float:
        """How long it took until the server let us in and its site answered."""
        started = time.monotonic()
        while time.monotonic() - started < seconds:
            try:
                self.vps.check_output("true")
                self.serving()
                return time.monotonic() - started
            except (AssertionError, OSError, RuntimeError):
                time.sleep(0.5)
        raise AssertionError(f"{self.server.name} does not answer after {seconds:g} s")

    def look(self) -> dict[str, Any]:
        """The host as it says itself, in one question."""
        return dict(json.loads(self.vps.check_output(shlex.join(["python3", "-c", LOOK]))))

    def settled(self, *, locked: bool = False, seconds: float = 180) -> dict[str, Any]:
        """How it looks as soon as no job runs and no release is under way. A recovery holds the lock until its end,
        after the phase is on record: the lock has to come free too, unless it is somebody else's (`locked`)."""
        deadline = time.monotonic() + seconds
        while True:
            seen = self.look()
            if seen["state"]["phase"] == "idle" and not seen["units"] and seen["locked"] == locked:
                return seen
            assert time.monotonic() < deadline, (
                f"still in phase {seen['state']['phase']}, units: {seen['units']}, locked: {seen['locked']}"
            )
            time.sleep(0.5)

    def result(self, job: str) -> dict[str, Any]:
        return dict(json.loads(self.vps.check_output(f"cat /var/lib/slipway/jobs/{job}/result.json")))

    def serving(self) -> str:
        """The release that visitors get, which every route agrees on."""
        zone = self.server.zone
        api = self.server.web.ask(f"api.{zone}", "/version")
        assert api.status == 200, api.text
        return str(api.json()["release"])

    def consistent(self, *, locked: bool = False) -> dict[str, Any]:
        """Exactly one release serves and nothing is left of another that was under way; the audit log's newest entry
        and, as `serving`, the name of the release."""
        seen = self.settled(locked=locked)
        active = seen["state"]["active"]
        record = next(entry for entry in seen["releases"] if entry["active"])
        assert record["release"] == active["release"]
        assert self.serving() == record["name"]
        assert seen["flag"] == active["slot"]
        application = [tuple(entry) for entry in seen["running"] if entry[0] != "data"]
        assert sorted(application) == [(active["slot"], name) for name in ("api", "dashboard", "web")], seen["running"]
        return {**seen["releases"][0], "serving": record["name"]}
