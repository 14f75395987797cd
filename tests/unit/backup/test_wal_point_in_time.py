# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Point in time recovery against real servers: an unmodified database image in a container, and a bucket."""

from __future__ import annotations

import json
import subprocess
import time
from datetime import datetime, timezone
from functools import partial

import pytest

from ansible_collections.slipway.vps.plugins.module_utils.agent import cli
from ansible_collections.slipway.vps.plugins.module_utils.backup import spec as specs
from ansible_collections.slipway.vps.plugins.module_utils.backup.wal import restore
from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError
from ansible_collections.slipway.vps.plugins.module_utils.common.files import write_json

from .conftest import BUCKET
from .wal_server import PASSWORD, USER, Load, ask, docker, restored

RPO_SECONDS = 15.0


@pytest.mark.long
def test_server_and_shipper_killed_under_load_lose_less_than_the_bound(stack):
    stack.but(settings={"ship_seconds": 5})
    stack.database.query("CREATE TABLE beats (id int PRIMARY KEY, note text)")
    stack.ship()
    stack.until(lambda known: known.get("slot", {}).get("active"))
    stack.base()
    load = Load(stack.database)
    load.start()
    time.sleep(23)
    stack.kill()
    docker("kill", "--signal=KILL", stack.database.name)
    died = time.time()
    load.join(30)
    result = restored(stack)
    found = int(ask(result, "SELECT coalesce(max(id), 0) FROM beats"))
    assert found == int(ask(result, "SELECT count(*) FROM beats")), "there is a hole in what came back"
    last = load.confirmed[-1][0]
    assert last > 500
    lost = last - found
    seconds = died - dict(load.confirmed)[found]
    print(f"\n{last} transactions confirmed, {found} restored, {lost} lost: the last {seconds:.2f} s")
    assert seconds < RPO_SECONDS


def test_a_dropped_table_is_back_as_it_was_a_moment_before(stack):
    stack.database.query("CREATE TABLE orders AS SELECT i AS id FROM generate_series(1, 1000) i")
    stack.ship()
    stack.until(lambda known: known.get("slot", {}).get("active"))
    stack.base()
    stack.database.query("INSERT INTO orders VALUES (1001)")
    time.sleep(1.1)
    before = stack.database.query("SELECT clock_timestamp()")[0][0]
    time.sleep(1.1)
    stack.database.query("DROP TABLE orders")
    stack.database.query("CREATE TABLE afterwards (id int)")
    stack.shipped()
    result = restored(stack, time=before.isoformat())
    assert ask(result, "SELECT count(*), max(id) FROM orders") == "1001|1001"
    assert ask(result, "SELECT to_regclass('afterwards') IS NULL") == "t"
    # It is a server of its own, on a timeline of its own, and the live one was not touched.
    assert ask(result, "SELECT pg_is_in_recovery()") == "f"
    assert stack.database.query("SELECT to_regclass('orders'), to_regclass('afterwards')::text") == [
        (None, "afterwards")
    ]
    newest = restored(stack)
    assert ask(newest, "SELECT to_regclass('afterwards') IS NOT NULL AND to_regclass('orders') IS NULL") == "t"


@pytest.mark.long
def test_a_moment_in_which_nothing_was_written_is_restored_too(stack, s3):
    stack.database.query("CREATE TABLE orders AS SELECT i AS id FROM generate_series(1, 10) i")
    stack.ship()
    stack.until(lambda known: known.get("slot", {}).get("active"))
    stack.base()
    stack.database.query("INSERT INTO orders VALUES (11)")
    stack.shipped()
    covered = restore.plan(stack.spec, restore.Request()).covered
    # No transaction is later than this moment: the server alone would refuse it.
    assert ask(restored(stack, time=covered.isoformat()), "SELECT max(id) FROM orders") == "11"
    later = datetime.now(timezone.utc).isoformat()
    with pytest.raises(SlipwayError, match="The log in the bucket does not reach"):
        restored(stack, time=later)
    # What does not fit, or is of another major version, is known before anything is fetched.
    [key] = [one for one in s3.keys(f"{stack.spec.s3.prefix}/") if one.endswith("/manifest.json")]
    known = json.loads(s3.client().get_object(Bucket=BUCKET, Key=key)["Body"].read())
    for change, said in (
        ({"dump_bytes": 10**15}, r"needs 1100000\.\d GB at /.*, \d+\.\d GB are free"),
        ({"server_version": "9.6.1"}, r"is of PostgreSQL 9\.6\.1, the image of .* is PostgreSQL 1\d"),
    ):
        s3.client().put_object(Bucket=BUCKET, Key=key, Body=json.dumps({**known, **change}).encode())
        for target in ("beside", "in_place"):
            with pytest.raises(SlipwayError, match=said):
                restored(stack, target=target)
    s3.client().put_object(Bucket=BUCKET, Key=key, Body=json.dumps(known).encode())
    with pytest.raises(SlipwayError, match="is before the end of the oldest base backup"):
        restored(stack, time="2026-01-01T00:00:00Z")


@pytest.mark.long
def test_in_place_goes_on_from_the_moment_and_is_archived_again(stack):
    """Twice: the second restore follows the timeline that the first one began."""
    stack.database.query("CREATE TABLE orders AS SELECT i AS id FROM generate_series(1, 100) i")
    stack.ship()
    stack.until(lambda known: known.get("slot", {}).get("active"))
    stack.base()
    time.sleep(1.1)
    before = stack.database.query("SELECT clock_timestamp()")[0][0]
    time.sleep(1.1)
    stack.database.query("DELETE FROM orders WHERE id > 5")
    stack.shipped()
    result = restored(stack, time=before.isoformat(), target="in_place")
    stack.database.wait()
    assert stack.database.query("SELECT count(*) FROM orders") == [(100,)]
    assert subprocess.run(["test", "-s", f"{result['before']}/PG_VERSION"], check=False).returncode == 0
    stack.database.query("INSERT INTO orders VALUES (101)")
    known = stack.until(lambda known: known.get("timeline") == 2 and known["slot"].get("active"))
    assert known["base_wanted"]
    stack.shipped()
    # Without a new base backup: the old one, across the switch of timelines.
    result = restored(stack)
    assert result["timeline"] == 2
    assert ask(result, "SELECT count(*), max(id) FROM orders") == "101|101"
    stack.base()
    stack.database.query("INSERT INTO orders VALUES (102)")
    stack.shipped()
    again = restored(stack)
    assert again["id"] != result["id"]
    assert ask(again, "SELECT count(*), max(id) FROM orders") == "102|102"


def test_an_encrypted_log_needs_its_key(stack, tmp_path, s3):
    key = tmp_path / "key.txt"
    subprocess.run(["age-keygen", "-o", str(key)], check=True, capture_output=True)
    recipient = next(line.split()[-1] for line in key.read_text().splitlines() if "public key" in line)
    stack.but(recipients=(recipient,), identity_file=str(key))
    stack.ship()
    stack.until(lambda known: known.get("slot", {}).get("active"))
    stack.base()
    stack.database.query("CREATE TABLE orders AS SELECT 'very readable words' AS note")
    stack.shipped()
    for name in s3.keys(f"pitr-{stack.spec.stack}/"):
        body = s3.client().get_object(Bucket=BUCKET, Key=name)["Body"].read()
        assert name.endswith((".json", ".history")) or body.startswith(b"age-encryption.org/v1"), name
    with pytest.raises(SlipwayError, match="no key to read it"):
        restore.plan(stack.but(identity_file="").spec, restore.Request())
    result = restored(stack, identity_file=str(key))
    assert ask(result, "SELECT note FROM orders") == "very readable words"


@pytest.mark.long
def test_the_command_works_with_the_configuration_that_the_role_writes(stack, tmp_path, monkeypatch, capsys):
    """Status, base backup, plan, refusal and the end of it, as an administrator types them."""
    options = stack.spec.s3
    configuration = {
        "version": 1,
        "stack": stack.spec.stack,
        "database": {
            "login_container": stack.database.name,
            "login_user": USER,
            "login_password": PASSWORD,
            "login_db": USER,
        },
        "s3": options.as_dict(),
        "local_directory": str(tmp_path / "local"),
        "kinds": {"base": {"local": False, "ship_seconds": 1, "keep": {"s3": {"days": 7}}}},
    }
    monkeypatch.setattr(specs, "CONFIG_DIRECTORY", tmp_path)
    write_json(tmp_path / f"{stack.spec.stack}.json", configuration)
    slipway = partial(run_command, capsys, stack.spec.stack)
    assert "was never shipped" in slipway("status", status=1)
    stack.ship()
    stack.until(lambda known: known.get("slot", {}).get("active"))
    slipway("base")
    assert not list((tmp_path / "local").rglob("*"))
    stack.shipped()
    assert "is in the bucket" in slipway("status")
    planned = json.loads(slipway("restore", "--plan"))
    assert planned["segments"] >= 1 and planned["timeline"] == 1
    assert "Say that you mean it with --confirm" in slipway("restore", "--target", "in_place", status=1)
    assert "is not a time with its offset" in slipway("restore", "--time", "noon", status=1)
    said = slipway("restore")
    assert f"in container {stack.spec.stack}-restored-" in said
    stack.kill()
    slipway("drop")
    assert stack.database.query("SELECT count(*) FROM pg_replication_slots") == [(0,)]
    assert docker("ps", "--all", "--quiet", "--filter", f"name=^slipway-wal-{stack.spec.stack}$") == ""


def run_command(capsys, stack, verb, *words, status=0):
    """What it said, on both channels."""
    assert cli.main(["wal", verb, stack, *words]) == status
    said = capsys.readouterr()
    return said.out + said.err
