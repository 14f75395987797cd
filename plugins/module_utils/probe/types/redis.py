# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Redis, by the library python3-redis.

Not by `docker exec redis-cli`: that would start a process in the container for every probe, cannot be stopped at a
deadline, and does not reach a Redis that is no container.
"""

from __future__ import annotations

from typing import Any, ClassVar

from ...common import require
from ...common.errors import SlipwayError
from ...postgres.address import of_container
from .. import address
from ..context import Context
from ..option import Option
from ..result import Outcome, fail, ok, warn
from .base import ProbeType
from .postgres import Postgres

DEFAULT_PORT = 6379


class Redis(ProbeType):
    name = "redis"
    summary = "Redis answers PING, has loaded its data and can write it."
    target = "host or host:port (default port 6379), unless O(probes[].login_container) says where."
    target_required = False
    options: ClassVar[dict[str, Option]] = {
        key: Postgres.options[key]
        for key in ("login_container", "login_port", "login_user", "login_password", "login_db")
    }

    def check(self) -> None:
        if not self.option("login_container"):
            if not self.probe.target:
                raise SlipwayError("It has neither a target nor a login_container.")
            address.split(self.probe.target, DEFAULT_PORT)
        if not str(self.option("login_db") or "0").isdecimal():
            raise SlipwayError("login_db of a Redis must be a number.")

    def shown_target(self) -> str:
        container = self.option("login_container")
        return f"container {container}" if container else self.probe.target

    def expected(self) -> str:
        return "PONG, its data loaded and saved"

    def run(self, context: Context) -> Outcome:
        redis = require.load("redis", "python3-redis")
        host, port = self._place()
        client = redis.Redis(
            host=host,
            port=port,
            db=int(self.option("login_db") or 0),
            username=self.option("login_user"),
            password=self.option("login_password"),
            socket_connect_timeout=min(context.connect_timeout, context.remaining()),
            socket_timeout=context.remaining(),
            # Attempts are the runner's business; the library's own would hide the first failure behind a wait.
            retry=redis.retry.Retry(redis.backoff.NoBackoff(), 0),
        )
        try:
            return self._ask(client, context, redis)
        except redis.exceptions.RedisError as error:
            raise explain(error, redis) from error
        finally:
            client.connection_pool.disconnect()

    def _ask(self, client: Any, context: Context, redis: Any) -> Outcome:
        context.on_abort(client.connection_pool.disconnect)
        client.ping()
        try:
            info = {**client.info("server"), **client.info("persistence"), **client.info("memory")}
        except redis.exceptions.NoPermissionError:
            return ok("answers PING (this user may not see INFO)")
        return judge(info)

    def _place(self) -> tuple[str, int]:
        container, port = self.option("login_container"), self.option("login_port")
        if container:
            return of_container(container), port or DEFAULT_PORT
        return address.split(self.probe.target, port or DEFAULT_PORT)


def judge(info: dict[str, Any]) -> Outcome:
    observed = {
        "version": info.get("redis_version"),
        "used_memory_bytes": info.get("used_memory"),
        "max_memory_bytes": info.get("maxmemory"),
        "last_save": info.get("rdb_last_bgsave_status"),
        "last_append": info.get("aof_last_write_status"),
    }
    if info.get("loading"):
        return fail("still loads its data from disk", "Wait until it has read its file.", **observed)
    if "err" in (observed["last_save"], observed["last_append"]):
        return warn(
            "answers, but its last write to disk failed", "Look for a full disk and at Redis's log.", **observed
        )
    return ok(f"Redis {observed['version']} answers", **observed)


def explain(error: Exception, redis: Any) -> SlipwayError:
    """The library's exceptions as sentences."""
    if isinstance(error, redis.exceptions.AuthenticationError):
        return SlipwayError("Redis refused the password.", hint="Check login_password against requirepass.")
    if isinstance(error, redis.exceptions.BusyLoadingError):
        return SlipwayError("Redis still loads its data from disk.", hint="Wait until it has read its file.")
    if isinstance(error, redis.exceptions.TimeoutError):
        return SlipwayError("Redis did not answer in time.", hint="Look at Redis's log and at the firewall.")
    if isinstance(error, redis.exceptions.ConnectionError):
        return SlipwayError(f"Redis cannot be reached: {error}.", hint="Is it started, and is the address right?")
    return SlipwayError(f"Redis refused the command: {error}.")
