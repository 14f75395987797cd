# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What breaks on the way leaves no backup, is told in a sentence, and is cleaned up."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from ansible_collections.slipway.vps.plugins.module_utils.backup import catalog, engine, record, restore, verify
from ansible_collections.slipway.vps.plugins.module_utils.backup.store import stores
from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError
from ansible_collections.slipway.vps.plugins.module_utils.common.events import Emitter
from ansible_collections.slipway.vps.plugins.module_utils.common.lock import FileLock

from .conftest import BUCKET

SLOW = 6_000_000  # bytes a second: long enough for something to happen


def back_up(spec):
    return engine.run(spec, Emitter.null())["backup"]


def child(program):
    """The pid of our own child of that name, once it has worked for a moment."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        answer = subprocess.run(
            ["ps", "--ppid", str(os.getpid()), "-o", "pid=,comm=,args="], capture_output=True, text=True, check=False
        )
        for line in answer.stdout.splitlines():
            pid, name, arguments = (*line.split(None, 2), "", "")[:3]
            if name == program and "--version" not in arguments:
                return int(pid)
        time.sleep(0.05)
    raise AssertionError(f"{program} did not start")


def during(spec, disturb):
    """Run a slow backup, disturb it after its first parts are stored, and return what it says."""
    failures = []

    def work():
        try:
            back_up(replace(spec, bytes_per_second=SLOW))
        except SlipwayError as error:
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        pid = child("pg_dump")
        time.sleep(2.0)  # one part of 5 MiB is stored, the next is on its way
        disturb(pid)
    finally:
        thread.join(120)
    assert not thread.is_alive()
    assert failures, "the backup went well although it was disturbed"
    return str(failures[0])


def nothing_is_left(shop, s3):
    assert s3.keys(shop.prefix) == []
    assert s3.uploads(shop.prefix) == []
    assert record.unfinished(shop.spec) == []
    assert catalog.entries(stores(shop.spec)) == []


@pytest.mark.slow
@pytest.mark.parametrize("program", ["pg_dump", "zstd"])
def test_a_killed_program_is_a_failure(big_shop, s3, program):
    message = during(big_shop.spec, lambda _pid: os.kill(child(program), signal.SIGKILL))
    assert f"{program} was killed (signal 9)" in message
    nothing_is_left(big_shop, s3)
    assert program in record.last(big_shop.spec)["failure"]["message"]


@pytest.mark.slow
def test_a_session_that_the_server_ends_is_a_failure(big_shop, s3):
    # The only session of this server that copies is the dump's.
    end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'COPY%'"
    message = during(big_shop.spec, lambda _pid: big_shop.query(end))
    assert "pg_dump ended with status 1" in message and "slipway backup run" in message
    nothing_is_left(big_shop, s3)


@pytest.mark.slow
def test_a_bucket_that_goes_away_is_a_failure_and_the_next_run_cleans_up(big_shop, s3):
    message = during(big_shop.spec, lambda _pid: s3.stop())
    assert "cannot be reached" in message or "broke while" in message
    left = record.unfinished(big_shop.spec)
    assert left
    s3.start()
    assert catalog.entries(stores(big_shop.spec)) == []
    made = back_up(big_shop.spec)
    assert s3.uploads(big_shop.prefix) == []
    assert {key.split("/")[3] for key in s3.keys(big_shop.prefix)} == {made["id"]}


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_stopped_run_leaves_no_backup(big_shop, s3, tmp_path, number):
    """The whole program as the timer starts it: SIGTERM cleans up itself, after SIGKILL the next run does."""
    script = (
        "import sys, dataclasses, pickle, signal\n"
        "from ansible_collections.slipway.vps.plugins.module_utils.backup import commands, engine, spec\n"
        "wanted, state = pickle.load(open(sys.argv[1], 'rb'))\n"
        "engine.STATE_DIRECTORY = spec.STATE_DIRECTORY = state\n"
        "engine.run(wanted, commands._emitter())\n"
    )
    asked = tmp_path / "asked"
    asked.write_bytes(pickle.dumps((big_shop.but(bytes_per_second=SLOW), tmp_path / "state")))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen([sys.executable, "-c", script, str(asked)], env=environment)
    end = time.monotonic() + 30
    while not s3.uploads(big_shop.prefix):
        assert time.monotonic() < end and process.poll() is None
        time.sleep(0.1)
    time.sleep(1.0)
    process.send_signal(number)
    assert process.wait(60) != 0
    assert catalog.entries(stores(big_shop.spec)) == []
    if number == signal.SIGTERM:
        nothing_is_left(big_shop, s3)
    else:
        assert s3.uploads(big_shop.prefix) and record.unfinished(big_shop.spec)
    made = back_up(big_shop.spec)
    assert s3.uploads(big_shop.prefix) == []
    assert [one.id for one in catalog.entries(stores(big_shop.spec))] == [made["id"]]


@pytest.fixture
def small_disk(tmp_path):
    """A real file system of 8 MiB."""
    place = tmp_path / "small"
    place.mkdir()
    if (
        os.geteuid() != 0
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(place)], capture_output=True, check=False
        ).returncode
    ):
        pytest.skip("mounting a small file system needs root")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_is_a_failure(big_shop, s3, small_disk):
    spec = big_shop.but(local_directory=str(small_disk / "copies"))
    with pytest.raises(SlipwayError, match="No space left on device"):
        back_up(spec)
    nothing_is_left(big_shop, s3)
    assert list((small_disk / "copies" / "postgres").iterdir()) == []


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"secret_key": "wrong"}, r"does not accept the access key or its secret \(SignatureDoesNotMatch\)"),
        ({"access_key": "nobody"}, r"does not accept the access key or its secret \(InvalidAccessKeyId\)"),
        ({"bucket": "nothing-here"}, r"(The bucket nothing-here does not exist|refuses listing)"),
        ({"ca_file": ""}, r"The TLS certificate of the S3 server .* is not trusted"),
        ({"ca_file": "/nowhere.pem"}, r"The CA file /nowhere\.pem does not exist"),
        ({"endpoint": "https://localhost:9"}, r"cannot be reached"),
        ({"endpoint": "https://no-such-host.invalid"}, r"cannot be reached"),
        ({"access_key": "readerkey", "secret_key": "readersecretreader"}, r"refuses starting an upload"),
    ],
)
def test_a_destination_that_refuses_is_told_in_a_sentence(shop, s3, change, sentence):
    with pytest.raises(SlipwayError, match=sentence) as caught:
        back_up(shop.but(s3=s3.options(**{"retries": 1, **change})))
    assert caught.value.hint
    nothing_is_left(shop, s3)


def test_a_bucket_that_does_not_exist_is_named(shop, s3):
    admin = {"access_key": "testadmin", "secret_key": "testadminsecret", "bucket": "nothing-here"}
    with pytest.raises(SlipwayError, match="The bucket nothing-here does not exist"):
        back_up(shop.but(s3=s3.options(**admin)))


def test_a_database_that_is_not_there_is_told_before_anything_is_stored(shop, s3):
    with pytest.raises(SlipwayError, match="nothing listens there"):
        back_up(shop.but(postgres=replace(shop.spec.postgres, port=9)))
    nothing_is_left(shop, s3)


def test_a_missing_program_is_named(shop, monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(SlipwayError, match="The program zstd is not installed"):
        back_up(shop.spec)


def test_two_at_once_are_one_after_the_other(shop):
    with (
        FileLock(shop.place / "state" / "lock", what="back up another stack"),
        pytest.raises(SlipwayError, match="held by back up another stack"),
    ):
        back_up(shop.spec)


def test_an_object_that_is_cut_short_is_seen_in_the_list_and_not_restored(shop, s3):
    made = back_up(shop.spec)
    key = f"{shop.prefix}{made['id']}/database.dump.zst"
    body = s3.client().get_object(Bucket=BUCKET, Key=key)["Body"].read()
    s3.client().put_object(Bucket=BUCKET, Key=key, Body=body[:-1000])
    [one] = catalog.entries(stores(shop.spec))
    assert one.copies == {"s3": False}
    for work in (
        lambda: verify.verify(shop.spec, made["id"], Emitter.null()),
        lambda: restore.run(shop.spec, restore.Request(id=made["id"]), Emitter.null()),
    ):
        with pytest.raises(SlipwayError, match=r"No copy of backup .* is complete"):
            work()
    with pytest.raises(SlipwayError, match="has no backup"):
        verify.verify(shop.spec, "latest", Emitter.null())


@pytest.mark.slow
@pytest.mark.parametrize("where", [0.5, *(pytest.param(place, marks=pytest.mark.long) for place in (0.02, 0.98))])
def test_one_wrong_bit_is_found_and_nothing_is_replaced(big_shop, s3, where):
    made = back_up(big_shop.spec)
    key = f"{big_shop.prefix}{made['id']}/database.dump.zst"
    body = bytearray(s3.client().get_object(Bucket=BUCKET, Key=key)["Body"].read())
    body[int(len(body) * where)] ^= 0x10
    s3.client().put_object(Bucket=BUCKET, Key=key, Body=bytes(body))
    with pytest.raises(SlipwayError):
        verify.verify(big_shop.spec, made["id"], Emitter.null())
    assert not catalog.entries(stores(big_shop.spec))[0].verified
    with pytest.raises(SlipwayError):
        restore.run(big_shop.spec, restore.Request(id=made["id"], target="in_place"), Emitter.null())
    databases = [name for (name,) in big_shop.query("SELECT datname FROM pg_database")]
    assert not [name for name in databases if name.startswith(f"{big_shop.name}_")]
    assert big_shop.query("SELECT count(*) FROM blobs") == [(300,)]


def test_a_damaged_manifest_is_named_and_hides_no_other(shop, s3):
    made = back_up(shop.spec)
    s3.client().put_object(Bucket=BUCKET, Key=f"{shop.prefix}{made['id']}/manifest.json", Body=b"{}")
    good = back_up(shop.spec)
    damaged = []
    assert [one.id for one in catalog.entries(stores(shop.spec), damaged)] == [good["id"]]
    assert len(damaged) == 1 and made["id"] in damaged[0] and "is damaged" in damaged[0]
    assert "is damaged" in engine.run(shop.spec, Emitter.null())["warnings"][0]


def test_a_failed_backup_deletes_nothing(shop, s3):
    """Old and verified backups that the retention would delete after a good run stay after a bad one."""
    for days in (90, 80):
        _aged(shop, s3, days, back_up(shop.spec)["id"])
    before = s3.keys(shop.prefix)
    with pytest.raises(SlipwayError):
        back_up(shop.but(s3=s3.options(access_key="readerkey", secret_key="readersecretreader")))
    assert s3.keys(shop.prefix) == before
    result = engine.run(shop.spec, Emitter.null())
    assert result["deleted"] == [f"s3/{before[0].split('/')[3]}"]


def _aged(shop, s3, days, identity):
    """Put a backup under an id of some time ago, verified."""
    then = datetime.now(timezone.utc) - timedelta(days=days)
    old = then.strftime("%Y%m%dT%H%M%SZ") + "-abcdef"
    client = s3.client()
    for key in s3.keys(f"{shop.prefix}{identity}/"):
        body = client.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        if key.endswith("/manifest.json"):
            moved = {**json.loads(body), "id": old, "snapshot_time": then.strftime("%Y-%m-%dT%H:%M:%SZ")}
            body = json.dumps(moved).encode()
        client.put_object(Bucket=BUCKET, Key=key.replace(identity, old), Body=body)
        client.delete_object(Bucket=BUCKET, Key=key)
    mark = json.dumps({"time": then.strftime("%Y-%m-%dT%H:%M:%SZ")}).encode()
    client.put_object(Bucket=BUCKET, Key=f"{shop.prefix}{old}/verified.json", Body=mark)


def test_the_password_is_in_no_argument_list(big_shop):
    """Looked at from outside while it runs, as any user of the host could."""
    seen = []

    def look(_pid):
        for entry in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                seen.append(entry.read_bytes())
            except OSError:
                continue
        os.kill(child("pg_dump"), signal.SIGTERM)

    during(big_shop.spec, look)
    text = b"\n".join(seen)
    assert b"--snapshot=" in text and b"zstd" in text
    assert big_shop.spec.postgres.password.encode() not in text
    assert big_shop.spec.s3.secret_key.encode() not in text
