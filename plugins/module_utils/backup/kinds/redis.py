# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The stack's Redis: one snapshot, asked for as a replica asks, so that nothing is written inside the container.

Redis forks for it. What its own files on disk hold at that moment does not matter.
"""

from __future__ import annotations

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

SECONDS = 60


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
            found = self._info()
        yield Snapshot(self.command("redis-cli", "--rdb", "-"), found)

    def prove(self, store: Store, known: Manifest, emitter: Emitter) -> None:
        """Every byte through redis-check-rdb, which reads each key and compares the snapshot's own checksum."""
        checker = self.command("redis-check-rdb", "/dev/stdin")
        with reader.opened(self.spec, store, known, "redis") as pipeline, Consumer(checker) as program:
            for chunk in pipeline:
                program.write(chunk)
            pipeline.finish()
            reader.confirm_dump(known, pipeline)
            program.finish()

    def command(self, *words: str) -> Command:
        """Inside the container; the password goes through the environment."""
        names = ("-e", "REDISCLI_AUTH") if self._password else ()
        env = {"REDISCLI_AUTH": self._password} if self._password else {}
        return Command(("docker", "exec", "-i", *names, self.container, *words), env)

    def _info(self) -> dict[str, str]:
        """What the server says of itself; also the proof that it answers and that the password is right."""
        command = self.command("redis-cli", "--no-raw", "info")
        answer = run(command.argv, timeout=SECONDS, env=command.env).stdout
        if "NOAUTH" in answer or "WRONGPASS" in answer:
            raise SlipwayError(
                f"Redis in container {self.container} refuses the password.",
                hint="Set backup_redis.password to the one in its configuration.",
            )
        return dict(re.findall(r"(?m)^([a-z0-9_]+):([^\r\n]*)", answer))


class Snapshot:
    def __init__(self, command: Command, found: dict[str, str]) -> None:
        self._command = command
        self._found = found
        self._taken = ""

    def parts(self) -> Iterator[Part]:
        self._taken = manifest.moment(datetime.now(timezone.utc))
        yield Part("dump.rdb", "redis", self._command, int(self._found.get("used_memory") or 0))

    def facts(self) -> dict[str, Any]:
        keys = {
            name: int(re.findall(r"keys=(\d+)", value)[0]) for name, value in self._found.items() if "keys=" in value
        }
        return {
            "snapshot_time": self._taken,
            "server_version": self._found.get("redis_version", ""),
            "details": {"keys": keys},
        }
