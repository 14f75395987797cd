# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Redis: a snapshot that a fresh server loads to the same keys, and what must not become a backup."""

from __future__ import annotations

import subprocess
import threading
import time

import pytest

from ansible_collections.slipway.vps.plugins.module_utils.backup import catalog, engine, record, verify
from ansible_collections.slipway.vps.plugins.module_utils.backup.store import stores
from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError
from ansible_collections.slipway.vps.plugins.module_utils.common.events import Emitter
from ansible_collections.slipway.vps.tests.unit.redis_container import RedisContainer, docker

from .conftest import BUCKET


def back_up(spec):
    return engine.run(spec, Emitter.null())


def by_hand(s3, key):
    """The snapshot with public tools only."""
    stored = s3.client().get_object(Bucket=BUCKET, Key=key)["Body"].read()
    return subprocess.run(["zstd", "-dc"], input=stored, check=True, capture_output=True).stdout


@pytest.mark.long
def test_a_plain_redis_loads_it_to_the_same_keys(redis, s3):
    made = back_up(redis.spec)["backup"]
    snapshot = by_hand(s3, f"{redis.prefix}{made['id']}/dump.rdb.zst")
    assert snapshot.startswith(b"REDIS") and made["contents"]["redis"]["bytes"] == len(snapshot)
    assert made["kind"] == "redis" and made["details"]["keys"] == {"db0": 2005, "db3": 1}
    assert (
        made["server_version"] == redis.server.cli("info", "server").decode().partition("redis_version:")[2].split()[0]
    )
    other = RedisContainer(redis.server.image, f"{redis.stack}-oracle", "--save", "")
    try:
        docker(
            *("run", "--rm", "--interactive", "--entrypoint=dd", "--volume", f"{other.volume}:/data", other.image),
            "of=/data/dump.rdb",
            stdin=snapshot,
        )
        other.start()
        assert other.contents() == redis.server.contents()
        assert other.cli("fcall", "f", "0") == b"1"
    finally:
        other.remove()


def test_it_is_of_one_moment_while_clients_write(redis, s3):
    """Two keys are always written together; a snapshot with one of them further than the other was of two moments."""
    stop = threading.Event()

    def write():
        while not stop.is_set():
            redis.server.cli("eval", "for i = 1, 500 do redis.call('INCR', 'x') redis.call('INCR', 'y') end", "0")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        made = back_up(redis.spec)["backup"]
    finally:
        stop.set()
        writer.join()
    snapshot = by_hand(s3, f"{redis.prefix}{made['id']}/dump.rdb.zst")
    other = RedisContainer(redis.server.image, f"{redis.stack}-oracle", "--save", "")
    try:
        docker(
            *("run", "--rm", "--interactive", "--entrypoint=dd", "--volume", f"{other.volume}:/data", other.image),
            "of=/data/dump.rdb",
            stdin=snapshot,
        )
        other.start()
        x, y = other.cli("get", "x"), other.cli("get", "y")
        assert x == y and 0 < int(x) <= int(redis.server.cli("get", "x"))
    finally:
        other.remove()


def test_it_is_verified_and_damage_is_found(redis, s3):
    made = back_up(redis.spec)["backup"]
    assert verify.verify(redis.spec, "latest", Emitter.null())["id"] == made["id"]
    assert catalog.entries(stores(redis.spec))[0].verified
    key = f"{redis.prefix}{made['id']}/dump.rdb.zst"
    body = bytearray(s3.client().get_object(Bucket=BUCKET, Key=key)["Body"].read())
    body[len(body) // 2] ^= 1
    s3.client().put_object(Bucket=BUCKET, Key=key, Body=bytes(body))
    with pytest.raises(SlipwayError, match=r"dump\.rdb\.zst .* is damaged|zstd"):
        verify.verify(redis.spec, "latest", Emitter.null())


def test_a_wrong_password_is_said_before_anything_is_stored(redis, s3):
    with pytest.raises(SlipwayError, match=r"does not answer: .*(WRONGPASS|NOAUTH)") as caught:
        back_up(redis.but(settings={**redis.spec.settings, "password": "wrong"}))
    assert "backup_redis.password" in caught.value.hint
    assert s3.keys(redis.prefix) == [] and s3.uploads(redis.prefix) == []


def test_a_container_that_is_not_there_is_named(redis):
    with pytest.raises(SlipwayError, match=r"does not answer: .*No such container"):
        back_up(redis.but(settings={**redis.spec.settings, "container": "shop-data-redis-9"}))
    docker("stop", redis.server.name)
    with pytest.raises(SlipwayError, match=r"does not answer: .*is not running"):
        back_up(redis.spec)


def test_a_redis_that_dies_while_it_is_read_leaves_nothing(redis, s3):
    # More than the programs between Redis and the bucket hold in their buffers.
    script = (
        "for i = 1, 30000 do local t = {} for j = 1, 40 do t[j] = redis.sha1hex(i * 100 + j) end "
        "redis.call('SET', 'i' .. i, table.concat(t)) end"
    )
    redis.server.cli("eval", script, "0")
    killed = []

    def kill():
        docker("kill", redis.server.name)
        killed.append(time.monotonic())

    killer = threading.Timer(4, kill)
    killer.start()
    try:
        with pytest.raises(SlipwayError, match=r"redis-cli (was killed|ended with status)"):
            back_up(redis.but(bytes_per_second=1_000_000))
            pytest.fail(f"a whole backup at {time.monotonic()}, killed at {killed}")
    finally:
        killer.join()
    assert s3.keys(redis.prefix) == [] and s3.uploads(redis.prefix) == []
    assert catalog.entries(stores(redis.spec)) == [] and record.unfinished(redis.spec) == []


def test_the_password_is_in_no_argument_list(redis):
    seen = []
    stop = threading.Event()

    def look():
        while not stop.is_set():
            seen.append(subprocess.run(["ps", "-eo", "args"], check=True, capture_output=True, text=True).stdout)
            time.sleep(0.05)

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        back_up(redis.spec)
    finally:
        stop.set()
        watcher.join()
    lines = [line for listing in seen for line in listing.splitlines() if "redis-cli" in line]
    assert lines and not [line for line in lines if "secret" in line]
