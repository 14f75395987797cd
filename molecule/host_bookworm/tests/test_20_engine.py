# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Engine's version, its configuration, and when it restarts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from slipway_lab import Play, connect, run_playbook

INVENTORY = "molecule/host_bookworm/inventory"
DAEMON = "/etc/docker/daemon.json"
PREFERENCES = "/etc/apt/preferences.d/slipway-docker"
OLDER, NEWER = "5:26.1.4-1~debian.12~bookworm", "5:26.1.5-1~debian.12~bookworm"
HOLDER = """
import fcntl, json, os, time
os.makedirs("/srv/elsewhere", exist_ok=True)
with open("/srv/elsewhere/release.lock", "w") as lock, open("/srv/elsewhere/release.lock.holder", "w") as note:
    fcntl.flock(lock, fcntl.LOCK_EX)
    note.write(json.dumps({"what": "release of elsewhere", "pid": os.getpid()}))
    note.flush()
    time.sleep(600)
"""


class Engine:
    """The Engine of the host, and the role that configures it."""

    def __init__(self) -> None:
        self.host = connect("bookworm1")

    def play(self, *arguments: str, **settings: Any) -> Play:
        words = ["--extra-vars", json.dumps(settings), *arguments]
        return run_playbook("molecule/shared/engine.yml", *words, inventory=INVENTORY)

    def apply(self, *arguments: str, **settings: Any) -> Play:
        play = self.play(*arguments, **settings)
        assert play.code == 0, play.output[-4000:]
        return play

    def refused(self, **settings: Any) -> str:
        """What the role says; the host is as it was."""
        before = self.look()
        play = self.play(**settings)
        assert play.code != 0
        assert play.changed == {"bookworm1": 0}, play.changed_tasks()
        assert self.look() == before
        return " ".join(play.output.split())

    def look(self) -> tuple[str, str, str, str]:
        return self.daemon_text, self.pid, self.version, self.run("apt-mark showhold")

    def run(self, command: str) -> str:
        return str(self.host.check_output(command))

    @property
    def daemon_text(self) -> str:
        return str(self.host.file(DAEMON).content_string)

    @property
    def options(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.daemon_text)
        return found

    @property
    def pid(self) -> str:
        """Another one after a restart, the same after a reload."""
        return self.run("systemctl show docker --property MainPID --value")

    @property
    def version(self) -> str:
        return self.run("dpkg-query --show --showformat '${Version}\\n' docker-ce docker-ce-cli")

    def write_by_hand(self, **options: Any) -> None:
        path = json.dumps({**self.options, **options})
        self.run(f"cat > {DAEMON} <<'END_OF_FILE'\n{path}\nEND_OF_FILE")


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine()


def test_its_key_is_for_its_own_repository_alone(engine: Engine) -> None:
    assert "Signed-By: /etc/apt/keyrings/slipway-docker.asc" in engine.run(
        "cat /etc/apt/sources.list.d/slipway-docker.sources"
    )
    assert "docker" not in engine.run("ls /etc/apt/trusted.gpg.d")


def test_a_version_that_does_not_exist_is_refused(engine: Engine) -> None:
    said = engine.refused(docker_version="99.0")
    assert "docker_version is 99.0, and the repositories of this host have no such version of docker-ce" in said
    assert NEWER in said
    assert not engine.host.file(PREFERENCES).exists


def test_a_version_is_taken_and_held(engine: Engine) -> None:
    before = engine.pid
    play = engine.apply("-v", docker_version="26.1.4")
    assert engine.version.split() == [OLDER, OLDER]
    assert engine.run("apt-mark showhold").split() == ["docker-ce", "docker-ce-cli"]
    # The new program runs, and it was this role that started it.
    assert engine.pid != before
    assert "the program of docker.service was replaced" in " ".join(play.output.split())
    assert OLDER in engine.run("apt-cache policy docker-ce | grep Candidate")
    engine.run("apt-get install --yes --quiet --only-upgrade containerd.io")
    assert engine.apply(docker_version="26.1.4").changed == {"bookworm1": 0}


def test_it_is_let_go_again(engine: Engine) -> None:
    engine.apply()
    assert engine.run("apt-mark showhold") == ""
    assert not engine.host.file(PREFERENCES).exists
    assert NEWER in engine.run("apt-cache policy docker-ce | grep Candidate")


@pytest.mark.long
def test_what_the_team_wrote_stays_and_what_we_set_is_taken_back(engine: Engine) -> None:
    engine.write_by_hand(**{"log-opts": {**engine.options["log-opts"], "labels": "team"}, "shutdown-timeout": 11})
    stale = engine.pid
    engine.apply()
    theirs, before = engine.options, engine.pid
    assert theirs["log-opts"]["labels"] == "team"
    # It ran without what was written by hand.
    assert before != stale
    ours = {"shutdown-timeout": 25, "max-concurrent-downloads": 2}
    play = engine.apply("--diff", docker_daemon_options=ours)
    assert engine.options == {**theirs, **ours}
    assert '+  "max-concurrent-downloads": 2,' in play.output
    engine.apply()
    assert engine.options == theirs
    # The Engine took all of this over while it ran.
    assert engine.pid == before


@pytest.mark.long
def test_a_dry_run_tells_and_touches_nothing(engine: Engine) -> None:
    before = engine.look()
    play = engine.apply("--check", "--diff", docker_icc=True)
    assert '+  "icc": true,' in play.output
    assert engine.look() == before


def test_what_the_engine_refuses_is_not_written(engine: Engine) -> None:
    said = engine.refused(docker_daemon_options={"no-such-option": True})
    assert f"The new {DAEMON} was refused by its own check" in said
    assert "no-such-option" in said


@contextmanager
def a_release(engine: Engine) -> Iterator[None]:
    engine.run(f"systemd-run --quiet --collect --unit a-release python3 -c '{HOLDER}'")
    try:
        yield
    finally:
        engine.run("systemctl stop a-release && rm -r /srv/elsewhere")


def test_it_does_not_restart_under_a_release(engine: Engine) -> None:
    before = engine.pid
    with a_release(engine):
        said = engine.refused(docker_log_max_files=3, docker_restart_wait=2)
        assert "The Docker Engine has to restart (log-opts in /etc/docker/daemon.json changed)" in said
        assert "is held by release of elsewhere" in said
        # What needs no restart waits for nobody.
        engine.apply(docker_daemon_options={"max-concurrent-downloads": 2}, docker_restart_wait=0)
        assert engine.pid == before
    engine.apply(docker_log_max_files=3)
    assert engine.pid != before
    assert "Docker Engine: restart, because log-opts" in engine.run(
        "journalctl --boot --grep 'Docker Engine: ' --output cat"
    )


def test_nobody_is_in_its_group_by_accident(engine: Engine) -> None:
    for user in ("ops", "nobody"):
        engine.run(f"gpasswd --add {user} docker")
    try:
        assert " nobody is in the group docker." in engine.refused(docker_group_members=["ops"])
    finally:
        for user in ("ops", "nobody"):
            engine.run(f"gpasswd --delete {user} docker")


@pytest.fixture
def remapped(engine: Engine) -> Iterator[None]:
    engine.apply(docker_userns_remap=True)
    yield
    engine.run("docker system prune --all --volumes --force && docker volume prune --all --force")
    engine.apply()
    assert "userns" not in engine.run("docker info --format '{{.SecurityOptions}}'")


@pytest.mark.long
def test_a_named_volume_belongs_to_the_container_s_own_user(engine: Engine, remapped: None) -> None:
    image = "registry.lab.test:5000/library/redis:8"
    run = "docker run --rm --volume kept:/data --entrypoint sh --user"
    assert engine.run(f"{run} 999 {image} -c 'id --user; echo kept > /data/file; cat /data/file'").split()[-2:] == [
        "999",
        "kept",
    ]
    place = engine.run("docker volume inspect --format '{{.Mountpoint}}' kept")
    assert engine.run(f"stat --format %u {place}/file") == "1000999"
    assert engine.run("grep dockremap /etc/subuid") == "dockremap:1000000:65536"
    # Root of a container cannot read what is root's here.
    assert engine.host.run(f"{run} 0 --volume /etc/shadow:/shadow:ro {image} -c 'cat /shadow'").rc != 0
    # With the old place for its data the Engine would not see this volume.
    assert "would no longer see this host's 1 volume" in engine.refused()
