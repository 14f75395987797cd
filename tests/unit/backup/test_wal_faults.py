# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Everything that can be away, full, killed or wrong while a log is shipped, against the real servers."""

from __future__ import annotations

import random
import re
import shutil
import threading
import time

import pytest

from ansible_collections.slipway.vps.plugins.module_utils.backup.retention import Policy
from ansible_collections.slipway.vps.plugins.module_utils.backup.wal import restore
from ansible_collections.slipway.vps.plugins.module_utils.backup.wal import shipper as wal_shipper
from ansible_collections.slipway.vps.plugins.module_utils.backup.wal.archive import COVERED, Archive
from ansible_collections.slipway.vps.plugins.module_utils.backup.wal.options import spool_directory
from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError

from .conftest import BUCKET
from .wal_server import Load, ask, docker, moment, restored

SEGMENT = re.compile(r"[0-9A-F]{24}\.zst")


@pytest.fixture
def shipper(stack, monkeypatch):
    """In this process, one round at a time."""
    monkeypatch.setattr(wal_shipper, "BASE_LOOK_SECONDS", 0.0)
    monkeypatch.setattr(wal_shipper, "LOCK_WAIT", 0.5)
    made = stack.shipper()
    yield made
    made.close()


def turns(shipper, condition=lambda status: not status.failure, seconds=40):
    """Rounds until the status is as wanted."""
    end = time.monotonic() + seconds
    while True:
        shipper.turn()
        if condition(shipper.status):
            return shipper.status
        assert time.monotonic() < end, shipper.status
        time.sleep(0.3)


def caught_up(shipper):
    """Everything that is committed by now is in the bucket."""
    now = time.time()
    return turns(shipper, lambda status: bool(status.covered) and moment(status.covered) > now)


def write(stack, segments):
    """So much log that it fills so many segments."""
    for _number in range(segments):
        stack.database.query("INSERT INTO load SELECT repeat(md5(i::text), 30) FROM generate_series(1, 2000) i")
        stack.database.query("SELECT pg_switch_wal()")


@pytest.fixture
def loaded(stack, shipper):
    stack.database.query("CREATE TABLE load (note text)")
    turns(shipper, lambda status: not status.failure and status.slot.get("active"))
    stack.base()
    caught_up(shipper)
    return stack


def segments(stack, s3):
    names = [key.rsplit("/", 1)[-1] for key in s3.keys(f"pitr-{stack.spec.stack}/{stack.spec.stack}/wal/")]
    return sorted(name for name in names if SEGMENT.fullmatch(name))


@pytest.mark.long
def test_the_server_gets_a_limit_and_keeps_one_that_was_set(stack, shipper):
    shipper.turn()
    assert stack.database.query("SHOW max_slot_wal_keep_size") == [("4GB",)]
    stack.database.query("ALTER SYSTEM SET max_slot_wal_keep_size = '333MB'")
    stack.database.query("SELECT pg_reload_conf()")
    turns(shipper)
    assert stack.database.query("SHOW max_slot_wal_keep_size") == [("333MB",)]


def test_segments_wait_while_the_bucket_is_away_and_are_shipped_once_after(loaded, shipper, s3):
    before = segments(loaded, s3)
    s3.stop()
    try:
        write(loaded, 2)
        status = turns(shipper, lambda status: status.failure and status.spool_bytes > 2 * 16 * 1024 * 1024)
        assert "cannot be reached" in status.failure
        assert status.lag_seconds > 0
    finally:
        s3.start()
    turns(shipper)
    caught_up(shipper)
    after = segments(loaded, s3)
    assert len(after) >= len(before) + 2
    assert not [
        key
        for key in s3.keys(f"pitr-{loaded.spec.stack}/")
        if any(name[:24] in key for name in before) and "partial" in key
    ]
    assert ask(restored(loaded), "SELECT count(*) FROM load") == "4000"


@pytest.mark.long
def test_a_full_spool_stops_the_receiver_and_is_emptied_again(loaded, s3):
    small = loaded.but(settings={"ship_seconds": 1, "spool_bytes": 64 * 1024 * 1024}).shipper()
    s3.stop()
    try:
        write(loaded, 6)
        status = turns(small, lambda status: "is full" in status.failure)
        assert docker("ps", "--quiet", "--filter", f"name=^slipway-wal-{loaded.spec.stack}$") == ""
        held = status.spool_bytes
        write(loaded, 3)
        turns(small, lambda status: "is full" in status.failure)
        assert small.status.spool_bytes == held, "the spool grew on"
    finally:
        s3.start()
    turns(small)
    caught_up(small)
    small.close()
    assert ask(restored(loaded), "SELECT count(*) FROM load") == "18000"


@pytest.mark.long
def test_a_receiver_that_went_away_and_a_database_that_was_restarted(loaded, shipper):
    docker("rm", "--force", f"slipway-wal-{loaded.spec.stack}")
    loaded.database.query("INSERT INTO load VALUES ('a')")
    caught_up(shipper)
    docker("restart", loaded.database.name)
    status = turns(shipper, lambda status: True)
    loaded.database.wait()
    turns(shipper, lambda status: not status.failure and status.slot.get("active"))
    loaded.database.query("INSERT INTO load VALUES ('b')")
    status = caught_up(shipper)
    assert not status.base_wanted
    assert ask(restored(loaded), "SELECT string_agg(note, '' ORDER BY note) FROM load") == "ab"


@pytest.mark.long
def test_a_spool_that_somebody_removed_is_never_taken_for_shipped(loaded, shipper):
    loaded.database.query("INSERT INTO load VALUES ('seen')")
    caught_up(shipper)
    [line] = [entry for entry in spool_directory(loaded.spec).iterdir() if entry.is_dir()]
    shutil.rmtree(line)
    gone = time.time()
    # Too little for a new segment: the receiver goes on in the file that nobody sees any more.
    loaded.database.query("INSERT INTO load VALUES ('unseen')")
    status = turns(shipper, lambda status: "somebody removed it" in status.failure)
    assert moment(status.covered) < gone
    turns(shipper, lambda status: not status.failure and status.slot.get("active"))
    write(loaded, 1)
    status = caught_up(shipper)
    # The server still had it.
    assert not status.base_wanted
    assert ask(restored(loaded), "SELECT count(*) FROM load") == "2002"


@pytest.mark.long
def test_a_slot_that_the_server_gave_up_asks_for_a_new_base_backup(stack, monkeypatch):
    stack.but(settings={"ship_seconds": 1, "keep_bytes": 64 * 1024 * 1024})
    monkeypatch.setattr(wal_shipper, "BASE_LOOK_SECONDS", 0.0)
    shipper = stack.shipper()
    stack.database.query("CREATE TABLE load (note text)")
    turns(shipper, lambda status: not status.failure and status.slot.get("active"))
    stack.base()
    caught_up(shipper)
    # Nobody looks after it for a while.
    shipper.close()
    write(stack, 8)
    stack.database.query("CHECKPOINT")
    write(stack, 1)
    stack.database.query("CHECKPOINT")
    assert stack.database.query("SELECT wal_status FROM pg_replication_slots") == [("lost",)]
    stack.bases_wanted.clear()
    later = stack.shipper()
    turns(later, lambda status: not status.failure and status.slot.get("status") == "reserved")
    assert "has thrown away log" in later.status.base_wanted
    [reason] = stack.bases_wanted
    assert "max_slot_wal_keep_size" in reason
    caught_up(later)
    with pytest.raises(SlipwayError, match="is missing in the bucket"):
        restored(stack)
    stack.base()
    caught_up(later)
    turns(later, lambda status: not status.base_wanted)
    assert ask(restored(stack), "SELECT count(*) FROM load") == "18000"
    later.close()


@pytest.mark.long
def test_killed_again_and_again_every_segment_arrives_once(stack, s3):
    stack.database.query("CREATE TABLE load (note text)")
    stack.database.query("CREATE TABLE beats (id int PRIMARY KEY, note text)")
    stack.ship()
    stack.until(lambda known: known.get("slot", {}).get("active"))
    stack.base()
    load = Load(stack.database)
    load.start()
    chance = random.Random(7)  # noqa: S311 - the same moments every time
    for _round in range(8):
        write(stack, 1)
        time.sleep(chance.uniform(0.1, 1.2))
        stack.kill()
        stack.ship()
    load.stopped.set()
    load.join()
    known = stack.shipped()
    assert not known["failure"]
    result = restored(stack)
    last = load.confirmed[-1][0]
    assert ask(result, "SELECT count(*), max(id) FROM beats") == f"{last}|{last}"
    assert ask(result, "SELECT count(*) FROM load") == "16000"
    names = segments(stack, s3)
    assert len(names) == len(set(names)) >= 8


@pytest.mark.long
def test_two_shippers_at_once_are_one_too_many(stack, shipper):
    stack.ship()
    stack.until(lambda known: known.get("slot", {}).get("active"))
    with pytest.raises(SlipwayError, match="is held by ship the log of"):
        stack.shipper().run(threading.Event())


@pytest.mark.long
def test_replication_that_is_not_permitted_is_explained(stack, shipper):
    stack.database.in_container("sed -i '/replication/d' $PGDATA/pg_hba.conf")
    stack.database.query("SELECT pg_reload_conf()")
    status = turns(shipper, lambda status: "pg_hba.conf" in status.failure)
    assert "host replication shop 127.0.0.1/32 scram-sha-256" in status.failure
    assert "pg_reload_conf" in status.failure
    # What the sentence says is enough.
    stack.database.in_container("echo 'host replication shop 127.0.0.1/32 scram-sha-256' >> $PGDATA/pg_hba.conf")
    stack.database.query("SELECT pg_reload_conf()")
    turns(shipper, lambda status: not status.failure and status.slot.get("active"))


def test_a_damaged_or_missing_segment_is_found_before_anything_is_made(loaded, shipper, s3):
    write(loaded, 2)
    caught_up(shipper)
    [key] = [key for key in s3.keys(f"pitr-{loaded.spec.stack}/") if segments(loaded, s3)[-2] in key]
    client = s3.client()
    body = client.get_object(Bucket=BUCKET, Key=key)["Body"].read()
    made = docker("volume", "ls", "--quiet")
    client.put_object(Bucket=BUCKET, Key=key, Body=body[: len(body) // 2])
    with pytest.raises(SlipwayError, match="in the bucket is damaged"):
        restored(loaded)
    client.put_object(Bucket=BUCKET, Key=key, Body=body[:1000] + bytes([body[1000] ^ 1]) + body[1001:])
    with pytest.raises(SlipwayError, match="in the bucket is damaged"):
        restored(loaded)
    client.delete_object(Bucket=BUCKET, Key=key)
    with pytest.raises(SlipwayError, match="though later ones are there") as caught:
        restored(loaded)
    assert "Before it the log reaches" in str(caught.value)
    assert docker("volume", "ls", "--quiet") == made
    assert loaded.database.query("SELECT count(*) FROM load") == [(4000,)]


@pytest.mark.long
def test_another_segment_of_the_same_name_is_never_overwritten(loaded, shipper, s3):
    shipper.close()
    loaded.database.query("INSERT INTO load VALUES ('begins the segment')")
    current = loaded.database.query("SELECT pg_walfile_name(pg_current_wal_lsn())")[0][0]
    write(loaded, 1)
    # As if a second copy of this server had shipped it already.
    system = loaded.database.query("SELECT system_identifier::text FROM pg_control_system()")[0][0]
    place = f"pitr-{loaded.spec.stack}/{loaded.spec.stack}/wal/{system}/{current[:8]}/{current}.zst"
    s3.client().put_object(Bucket=BUCKET, Key=place, Body=b"other", Metadata={"sha256": "other"})
    later = loaded.shipper()
    status = turns(later, lambda status: "another segment" in status.failure)
    assert "Nothing is overwritten" in status.failure
    assert s3.client().get_object(Bucket=BUCKET, Key=place)["Body"].read() == b"other"
    later.close()


@pytest.mark.long
def test_log_that_no_kept_base_backup_needs_goes_with_the_oldest_one(loaded, shipper, s3):
    loaded.but(keep_s3=Policy(hourly=1))
    write(loaded, 2)
    caught_up(shipper)
    before = segments(loaded, s3)
    made = loaded.base()
    assert made["log_deleted"] == 0, "the first one still stands: nothing newer was verified when it was looked at"
    write(loaded, 1)
    caught_up(shipper)
    last = loaded.base()
    caught_up(shipper)
    assert last["log_deleted"] >= 3
    assert not set(before[:3]) & set(segments(loaded, s3))
    assert ask(restored(loaded), "SELECT count(*) FROM load") == "6000"
    assert restore.plan(loaded.spec, restore.Request(id=made["backup"]["id"])).segments


@pytest.mark.long
def test_a_base_backup_without_its_log_is_refused(stack):
    with pytest.raises(SlipwayError, match="of no use without the log"):
        stack.base()


@pytest.mark.long
def test_what_is_vouched_for_never_goes_back_under_load(loaded, shipper):
    """While commits never pause, the receiver is always a little behind the server's newest position."""

    def vouched():
        archive = Archive(loaded.spec)
        newest = archive.listing(shipper.status.system).partials
        return moment((archive.metadata(newest[max(newest)].key) or {})[COVERED])

    loaded.database.query("CREATE TABLE beats (id bigint, note text)")
    load = Load(loaded.database)
    load.start()
    try:
        seen = []
        for _turn in range(8):
            time.sleep(0.3)
            shipper.turn()
            seen.append(vouched())
        shipper.close()
        following = loaded.shipper()
        following.turn()
        seen.append(vouched())
        following.close()
    finally:
        load.stopped.set()
        load.join(20)
    assert seen == sorted(seen)
    assert seen[-2] > seen[0]
