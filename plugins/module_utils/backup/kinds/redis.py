# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The stack's Redis: one snapshot, asked for as a replica asks, so that nothing is written inside the container.

Redis forks for it. What its own files on disk hold at that moment does not matter. Where Redis streams to replicas
without a file (its default since version 7), redis-cli leaves 40 bytes behind the snapshot's end: the mark by which it
knew that all had come. Redis and redis-check-rdb end reading before it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import Any

from ...common.errors import SlipwayError
from ...common.events import Emitter
from ...common.process import run
from .. import manifest, reader
from ..manifest import Manifest
from ..pipeline import Consumer
from ..source import Command
from ..spec import Spec
from ..store import Store
from .base import Part

CONTENT = "redis"
SECONDS = 60
CONFIGURATION = ("dir", "dbfilename", "appendonly", "appenddirname", "appendfilename")


class Redis:
    name = "redis"

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.container = str(spec.settings.get("container") or "")
        self._password = str(spec.settings.get("password") or "")

    def describe(self) -> str:
        return f"Redis in container {self.container}"

    @contextmanager
    def open(self, emitter: Emitter) -> Iterator[Snapshot]:
        with emitter.phase("snapshot"):
            found = self.info()
            image = self.inspect("{{.Config.Image}}")
            configuration = self.configuration()
        yield Snapshot(self.command("redis-cli", "--rdb", "-"), found, image, configuration)

    def prove(self, store: Store, known: Manifest, emitter: Emitter) -> None:
        """Every byte through redis-check-rdb, which reads each key and compares the snapshot's own checksum."""
        checker = self.check()
        with reader.opened(self.spec, store, known, CONTENT) as pipeline, Consumer(checker) as program:
            for chunk in pipeline:
                program.write(chunk)
            pipeline.finish()
            reader.confirm(known, CONTENT, pipeline)
            program.finish()

    def command(self, *words: str) -> Command:
        """Inside the container; the password goes through the environment."""
        names = ("--env", "REDISCLI_AUTH") if self._password else ()
        env = {"REDISCLI_AUTH": self._password} if self._password else {}
        return Command(("docker", "exec", "--interactive", *names, self.container, *words), env)

    def check(self) -> Command:
        """In a container of its own, so that it takes no memory from the one that serves."""
        image = self.inspect("{{.Image}}")
        own = ("docker", "run", "--rm", "--interactive", "--network=none", "--entrypoint", "redis-check-rdb")
        return Command((*own, image, "/dev/stdin"))

    def inspect(self, template: str) -> str:
        asked = ("docker", "container", "inspect", f"--format={template}", "--", self.container)
        answer = run(asked, timeout=SECONDS, check=False)
        if answer.rc:
            raise SlipwayError(
                f"The container {self.container} of the stack's Redis is not there: {answer.stderr.strip()}.",
                hint="Correct backup_redis.service, or start the stack: slipway status",
            )
        return answer.stdout.strip()

    def configuration(self) -> dict[str, str]:
        """Where this server keeps its data and in which form, for a restore that makes the same of a snapshot."""
        found = {}
        for name in CONFIGURATION:
            command = self.command("redis-cli", "--no-raw", "--json", "config", "get", name)
            answer = run(command.argv, timeout=SECONDS, env=command.env, check=False)
            if answer.rc == 0 and answer.stdout.startswith("{"):
                found.update(json.loads(answer.stdout))
        return found

    def info(self) -> dict[str, str]:
        """What the server says of itself; also the proof that it answers and that the password is right."""
        command = self.command("redis-cli", "--no-raw", "info")
        answer = run(command.argv, timeout=SECONDS, env=command.env, check=False)
        found = dict(re.findall(r"(?m)^([a-z0-9_]+):([^\r\n]*)", answer.stdout))
        if "redis_version" not in found:
            said = " ".join(f"{answer.stderr} {answer.stdout}".split())
            refused = any(word in said for word in ("NOAUTH", "WRONGPASS", "NOPERM"))
            raise SlipwayError(
                f"Redis in container {self.container} does not answer: {said}.",
                hint="Set backup_redis.password to the one that the server is started with."
                if refused
                else "Look at it with: slipway status; docker ps",
            )
        if found.get("loading") == "1":
            raise SlipwayError(
                f"Redis in container {self.container} still loads its data.", hint="Run the backup again in a minute."
            )
        return found


class Snapshot:
    def __init__(self, command: Command, found: dict[str, str], image: str, configuration: dict[str, str]) -> None:
        self._command = command
        self._found = found
        self._image = image
        self._configuration = configuration
        self._taken = manifest.moment(datetime.now(timezone.utc))

    def parts(self) -> Iterator[Part]:
        yield Part("dump.rdb", CONTENT, self._command, int(self._found.get("used_memory") or 0))

    def facts(self) -> dict[str, Any]:
        keys = {
            name: int(value.partition("keys=")[2].partition(",")[0])
            for name, value in self._found.items()
            if value.startswith("keys=")
        }
        return {
            "snapshot_time": self._taken,
            "server_version": self._found.get("redis_version", ""),
            # Counted just before the snapshot: on a busy server it differs by what was written meanwhile.
            "details": {
                "image": self._image,
                "keys": keys,
                "used_memory": int(self._found.get("used_memory") or 0),
                "configuration": self._configuration,
            },
        }
