# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A real Redis in a container with a named volume, as a stack's data service has it."""

from __future__ import annotations

import os
import re
import subprocess
import time
import uuid

PASSWORD = "redis secret $1"
LABELS = ("com.docker.compose.project", "com.docker.compose.service")


def docker(*words, stdin=None, check=True, **more):
    done = subprocess.run(
        ["docker", *words], input=stdin, capture_output=True, check=False, timeout=120, env={**os.environ, **more}
    )
    assert not check or done.returncode == 0, done.stderr.decode()
    return done.stdout


def images():
    """The newest Redis image of each major version that is on this machine."""
    try:
        listed = docker("images", "--format={{.Repository}}:{{.Tag}}").decode().split()
    except (AssertionError, FileNotFoundError, subprocess.TimeoutExpired):
        return {}
    found = {}
    for name in listed:
        version = re.search(r"(?:^|/)redis[-:](\d+)", name)
        if version:
            found.setdefault(version.group(1), name)
    return found


class RedisContainer:
    def __init__(self, image, stack, *arguments):
        self.image = image
        self.stack = stack
        self.name = f"{stack}-data-redis-1"
        self.volume = f"{stack}_redis_{uuid.uuid4().hex[:6]}"
        self.arguments = arguments
        docker("volume", "create", self.volume)

    def start(self):
        project, service = LABELS
        docker(
            *("run", "--detach", "--name", self.name, "--volume", f"{self.volume}:/data"),
            *("--label", f"{project}={self.stack}-data", "--label", f"{service}=redis", self.image),
            *("redis-server", "--requirepass", PASSWORD, *self.arguments),
        )
        self.wait()

    def wait(self):
        end = time.monotonic() + 30
        while b"PONG" not in self.cli("ping", check=False):
            assert time.monotonic() < end, docker("logs", self.name).decode()
            time.sleep(0.1)

    def cli(self, *words, **more):
        command = ("exec", "--env", "REDISCLI_AUTH", self.name, "redis-cli", "--no-auth-warning", *words)
        return docker(*command, **{"REDISCLI_AUTH": PASSWORD, **more}).strip()

    def contents(self):
        """Every key of every database as Redis itself serialises it, and when it expires."""
        script = (
            "local r = {} for db = 0, 15 do redis.call('SELECT', db) "
            "for _, k in ipairs(redis.call('KEYS', '*')) do "
            "r[#r+1] = db .. ' ' .. k .. ' ' .. redis.sha1hex(redis.call('DUMP', k)) .. ' ' .. "
            "redis.call('PEXPIRETIME', k) end end table.sort(r) return r"
        )
        return self.cli("eval", script, "0").decode().splitlines()

    def remove(self):
        docker("rm", "--force", "--volumes", self.name, check=False)
        docker("volume", "rm", "--force", self.volume, check=False)


def fill(server, keys=2000):
    """Every type of value, two databases, a key that expires, a function and odd names."""
    server.cli("eval", f"for i = 1, {keys} do redis.call('SET', 'k' .. i, string.rep(i, 20)) end", "0")
    server.cli("rpush", "a list", "1", "2", "3")
    server.cli("hset", "a hash", "one", "1", "two", "2")
    server.cli("zadd", "a sorted set", "1", "one", "2", "two")
    server.cli("xadd", "a stream", "1-1", "field", "value")
    server.cli("set", "expires", "later", "EX", "86400")
    server.cli("-n", "3", "set", "in another database", "yes")
    server.cli("function", "load", "#!lua name=own\nredis.register_function('f', function() return 1 end)")
