# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Databases, keys and moments that nobody thinks of: each is backed up whole, or refused in a sentence."""

from __future__ import annotations

import email.utils
import signal
import threading
import time
from dataclasses import replace

import pytest

from ansible_collections.slipway.vps.plugins.module_utils.backup import catalog, engine, record, restore, verify
from ansible_collections.slipway.vps.plugins.module_utils.backup.retention import Policy
from ansible_collections.slipway.vps.plugins.module_utils.backup.store import stores
from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError
from ansible_collections.slipway.vps.plugins.module_utils.common.events import Emitter

from .test_backup_faults import _aged, back_up, during, nothing_is_left


def proved(spec):
    """A backup that was read back, restored beside and compared with its manifest; the new database's name."""
    made = back_up(spec)
    verify.verify(spec, made["id"], Emitter.null())
    return made, restore.run(spec, restore.Request(id=made["id"]), Emitter.null())["restore"]["database"]


def test_an_empty_database_is_a_backup_too(shop):
    shop.query("DROP TABLE orders; DROP SCHEMA tenant_alpha CASCADE")
    made, database = proved(shop.spec)
    assert made["tables"] == {} and made["stored_bytes"] > 0
    assert shop.query("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'", database) == [(0,)]


def test_large_objects_come_back(shop):
    shop.query("SELECT lo_from_bytea(4711, decode(repeat('c0ffee', 100000), 'hex'))")
    _made, database = proved(shop.spec)
    same = "SELECT lo_get(4711) = decode(repeat('c0ffee', 100000), 'hex')"
    assert shop.query(same, database) == [(True,)]


@pytest.mark.long
def test_a_table_that_is_dropped_during_the_dump_is_in_it(big_shop):
    """Whoever drops it waits for the dump, which holds a lock on every table."""
    dropped = []

    def drop():
        big_shop.query("DROP TABLE blobs")
        dropped.append(time.monotonic())

    thread = threading.Thread(target=drop)
    made = []

    def work():
        made.append((back_up(replace(big_shop.spec, bytes_per_second=12_000_000)), time.monotonic()))

    worker = threading.Thread(target=work)
    worker.start()
    _wait_for(big_shop, "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'COPY%'", 1)
    thread.start()
    worker.join(120)
    thread.join(30)
    [(backup, ended)] = made
    assert backup["tables"] == {"public.blobs": 300}
    # The session of the dump ends a little before its backup does.
    assert dropped[0] > ended - 10
    result = restore.run(big_shop.spec, restore.Request(id=backup["id"]), Emitter.null())["restore"]
    assert big_shop.query("SELECT count(*) FROM blobs", result["database"]) == [(300,)]


def _wait_for(shop, question, answer):
    end = time.monotonic() + 30
    while shop.query(question, "postgres") != [(answer,)]:
        assert time.monotonic() < end, question
        time.sleep(0.1)


def test_a_table_that_goes_before_the_dump_could_lock_it_is_a_failure_and_the_next_one_is_good(shop, s3):
    connection = shop.server.connect(shop.name)
    connection.autocommit = False
    connection.cursor().execute("DROP TABLE orders")
    failures = []

    def work():
        try:
            back_up(shop.spec)
        except SlipwayError as error:
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    _wait_for(shop, "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted", True)
    connection.commit()
    connection.close()
    thread.join(60)
    [error] = failures
    assert "orders" in str(error) and error.hint
    nothing_is_left(shop, s3)
    assert "public.orders" not in back_up(shop.spec)["tables"]


def test_many_schemas_need_more_locks_than_the_server_has_and_the_number_to_set_is_enough(shop, s3, own_server):
    own_server.new_database(shop.name)
    tables = "".join(
        f"CREATE SCHEMA t{tenant};" + "".join(f"CREATE TABLE t{tenant}.x{number} (id int);" for number in range(20))
        for tenant in range(15)
    )
    for part in tables.split("CREATE SCHEMA")[1:]:
        own_server.query(f"CREATE SCHEMA{part}", shop.name)
    spec = shop.but(postgres=replace(shop.spec.postgres, port=own_server.port))
    sentence = "The dump needs a lock on each of 300 tables, the server has room for 200"
    with pytest.raises(SlipwayError, match=sentence) as caught:
        back_up(spec)
    assert "Set max_locks_per_transaction to at least 64 and restart" in caught.value.hint
    nothing_is_left(shop, s3)
    own_server.stop()
    own_server.start("max_locks_per_transaction=64", "max_connections=20")
    assert len(back_up(spec)["tables"]) == 300


@pytest.mark.slow
def test_a_database_that_is_restarted_in_the_middle_is_a_failure_and_the_next_run_is_good(big_shop, s3):
    def restart(_pid):
        big_shop.server.stop(signal.SIGINT)
        big_shop.server.start()

    message = during(big_shop.spec, restart)
    assert "slipway backup run" in message or "journalctl" in message or "docker" in message, message
    nothing_is_left(big_shop, s3)
    assert back_up(big_shop.spec)["tables"] == {"public.blobs": 300}


def test_two_backups_at_once_are_both_good(shop):
    made, failures = [], []

    def work():
        try:
            made.append(back_up(shop.but(lock_wait=60.0))["id"])
        except SlipwayError as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not failures and len(made) == 3
    assert {one.id for one in catalog.entries(stores(shop.spec))} == set(made)


def test_a_key_that_may_not_list_is_told_before_anything_is_stored(shop, s3):
    with pytest.raises(SlipwayError, match="refuses listing") as caught:
        back_up(shop.but(s3=s3.options(access_key="blindkey", secret_key="blindsecretblind", retries=1)))
    assert "rights to list" in caught.value.hint
    nothing_is_left(shop, s3)


@pytest.mark.parametrize(("hours", "word"), [(1, "behind"), (-1, "ahead of")])
def test_a_server_with_another_clock_is_refused_before_anything_is_stored(shop, s3, proxy, hours, word):
    """The server's clock is another one, as its answers say; nobody moves the clock of this machine."""
    proxy.date = email.utils.formatdate(time.time() + hours * 3600, usegmt=True)
    with pytest.raises(SlipwayError, match=rf"The clock of this host is 3\d\d\d s {word} the S3 server's"):
        back_up(shop.but(s3=s3.options(endpoint=proxy.endpoint)))
    nothing_is_left(shop, s3)


def test_a_key_that_may_only_add_makes_backups_and_leaves_deletion_to_the_bucket(shop, s3, proxy):
    """An append-only key or object lock: nothing can be deleted, no unfinished upload be listed or ended."""
    spec = shop.but(s3=s3.options(endpoint=proxy.endpoint), keep_s3=Policy(days=30))
    proxy.forbidden = ("DELETE", "?uploads&", "uploads=")
    for days in (90, 80):
        _aged(shop, s3, days, back_up(shop.spec)["id"])
    result = engine.run(spec, Emitter.null())
    assert result["deleted"] == []
    _waiting, warning = result["warnings"]
    assert "was not deleted from s3" in warning and "AccessDenied" in warning
    assert len(catalog.entries(stores(spec))) == 3
    # Where deletion is left to the bucket nothing is said.
    assert engine.run(replace(spec, keep_s3=Policy()), Emitter.null())["warnings"] == []
    # What a killed run left cannot be removed either: that is told once, and no reason to make no backup.
    left = "20260101T000000Z-abcdef"
    s3.client().put_object(Bucket="backups", Key=f"{shop.prefix}{left}/database.dump.zst", Body=b"half")
    record.begin(spec, left)
    [warning] = engine.run(replace(spec, keep_s3=Policy()), Emitter.null())["warnings"]
    assert f"unfinished backup {left} left was not removed" in warning
    assert engine.run(replace(spec, keep_s3=Policy()), Emitter.null())["warnings"] == []


def test_what_a_lost_host_left_goes_and_what_another_one_makes_right_now_stays(shop, s3):
    old, young = "20260101T000000Z-abcdef", time.strftime("%Y%m%dT%H%M%SZ-fedcba", time.gmtime())
    client = s3.client()
    for identity in (old, young):
        client.put_object(Bucket="backups", Key=f"{shop.prefix}{identity}/database.dump.zst", Body=b"half")
        client.create_multipart_upload(Bucket="backups", Key=f"{shop.prefix}{identity}/globals.sql.zst")
    made = back_up(shop.spec)
    assert {key.split("/")[3] for key in s3.keys(shop.prefix)} == {young, made["id"]}
    assert [key.split("/")[3] for key in s3.uploads(shop.prefix)] == [young]


def test_a_backup_that_was_half_deleted_is_finished_by_the_next_run(shop, s3, proxy):
    """Its manifest is gone, so no list shows it: only the note says that something is left."""
    for days in (90, 80):
        _aged(shop, s3, days, back_up(shop.spec)["id"])
    [old, newer] = [one.id for one in catalog.entries(stores(shop.spec))]
    proxy.forbidden = (f"DELETE /backups/{shop.prefix}{old}/database",)
    result = engine.run(shop.but(s3=s3.options(endpoint=proxy.endpoint)), Emitter.null())
    assert "was not deleted" in result["warnings"][1]
    assert old not in [one.id for one in catalog.entries(stores(shop.spec))]
    assert record.unfinished(shop.spec) == [old]
    again = back_up(shop.spec)
    left = {key.split("/")[3] for key in s3.keys(shop.prefix)}
    assert left == {newer, result["backup"]["id"], again["id"]} and record.unfinished(shop.spec) == []


def test_a_sealed_backup_is_compared_and_never_called_verified(shop, s3, keypair, tmp_path):
    recipient, identity = keypair
    sealed = shop.but(recipients=(recipient,))
    made = back_up(sealed)
    told = []
    emitter = Emitter(lambda event: told.append(str(event.get("message"))))
    result = verify.verify(sealed, made["id"], emitter, sealed_too=True)
    assert result["sealed"] and not catalog.entries(stores(sealed))[0].verified
    assert any("It is not verified: it is encrypted and this host has no key" in text for text in told)
    with pytest.raises(SlipwayError):
        verify.verify(sealed, made["id"], Emitter.null())
    key = f"{shop.prefix}{made['id']}/database.dump.zst.age"
    body = bytearray(s3.client().get_object(Bucket="backups", Key=key)["Body"].read())
    body[len(body) // 2] ^= 1
    s3.client().put_object(Bucket="backups", Key=key, Body=bytes(body))
    with pytest.raises(SlipwayError, match="is damaged: its SHA-256"):
        verify.verify(sealed, made["id"], Emitter.null(), sealed_too=True)
    opened = replace(sealed, identity_file=str(identity))
    assert not verify.verify(opened, back_up(sealed)["id"], Emitter.null(), sealed_too=True)["sealed"]
